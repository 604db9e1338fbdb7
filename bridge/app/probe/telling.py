"""A test call that is over, as a report."""

from bridge.app.live_call import LiveCall
from bridge.app.probe.test_line import TestLine
from bridge.calls import outcomes
from bridge.calls.times import Milestones
from bridge.core.verdict import Verdict
from bridge.media.engine import MediaStats
from bridge.media.probe import tone
from bridge.media.probe.client import ClientFigures
from bridge.ops.test_calls.judging import Facts, Outcome, judge
from bridge.ops.test_calls.report import TestReport, Way


def report_of(live: LiveCall, verdict: Verdict, line: TestLine, figures: ClientFigures) -> TestReport:
    """What the call, its audio and the wire have shown."""
    call, names, at = live.call, live.told_names, live.call.at
    outcome, words = _judged(verdict, at, live.stats, figures)
    from_phone, to_phone = _ways(live.stats, figures)

    def since(moment: float | None) -> float | None:
        return None if moment is None else line.since(moment)

    return TestReport(
        outcome=outcome,
        words=words,
        call_id=call.call_id,
        trunk=call.trunk,
        tried=call.tried,
        result=verdict.result.value,
        reason=verdict.reason,
        sip_status=call.peer_status or (200 if call.answered else 0),
        dialled_s=since(at.dialled),
        ringing_s=since(at.ringing),
        answered_s=since(at.answered),
        connected_s=since(at.connected),
        talk_s=round(call.talk_s, 3),
        transport=line.transport(names),
        srtp=call.answered and line.is_secure(names),
        client_codec=figures.codec,
        from_phone=from_phone,
        to_phone=to_phone,
        echo_ms=figures.echo_ms,
        steps=line.steps(names),
    )


def _judged(verdict: Verdict, at: Milestones, stats: MediaStats, figures: ClientFigures) -> tuple[Outcome, str]:
    facts = Facts(
        result=verdict.result,
        reason=verdict.reason,
        answered=at.answered is not None,
        connected=at.connected is not None,
        packets_from_phone=stats.sip.packets_received,
        audible=figures.heard.audible,
        own_tone=figures.heard.own_tone,
        packets_to_phone=stats.sip.packets_sent,
        lost_to_phone=stats.sip.far_packets_lost,
    )
    outcome, words = judge(facts)
    if not facts.answered and verdict.user_text:
        words = f"{words}. {verdict.user_text}"
    elif facts.answered and verdict.result is not outcomes.COMPLETED.result:
        words = f"{words} (the call ended early: {verdict.reason})"
    return outcome, words


def _ways(stats: MediaStats, figures: ClientFigures) -> tuple[Way, Way]:
    """From the phone and to it. A leg's MOS is that of what came from it, as the other side hears it.

    What became of our packets only the phone's reports tell: without any, nothing is claimed.
    """
    phone = stats.sip
    from_phone = Way(
        codec=phone.codec,
        packets=phone.packets_received,
        lost=phone.packets_lost,
        jitter_ms=phone.jitter_ms,
        level_dbfs=figures.heard.level_dbfs,
        mos=phone.mos,
    )
    to_phone = Way(
        codec=phone.codec,
        packets=phone.packets_sent,
        lost=phone.far_packets_lost,
        jitter_ms=phone.far_jitter_ms,
        level_dbfs=tone.SENT_DBFS if figures.packets_sent else None,
        mos=None if phone.far_packets_lost is None else stats.matrix.mos,
    )
    return from_phone, to_phone
