"""What is left of a call: its record, its metrics and its last log line."""

import asyncio
import contextlib
import importlib.metadata
import socket
from collections.abc import Callable

import structlog

from bridge.app.history import History
from bridge.app.live_call import LiveCall
from bridge.calls.state import Direction
from bridge.core.clock import Clock
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Result, Verdict
from bridge.media.engine import HeardStats, LegStats
from bridge.numbers.money import shown
from bridge.ops.declarations.label_values import NO_TRUNK
from bridge.ops.records import CallRecord, CallRecords, LegRecord

log = structlog.get_logger(__name__)

_DISK_LIMIT_S = 2.0
"""How long a call is kept for its record; on a disk that is full it is written when there is room."""


class Reporting:
    """Called once for every call, refused ones included, when its media session is closed.

    Each is written down once, whatever process ends it: a call is forgotten only when its record is on the disk, and
    one that a process was ending when it died may have its record already.
    """

    def __init__(
        self,
        *,
        records: CallRecords,
        history: History,
        clock: Clock,
        telemetry: Telemetry,
        currency: Callable[[], str] = lambda: "",
    ) -> None:
        """`currency` is what the prices of trunks are in, where that is said."""
        self._records = records
        self._history = history
        self._clock = clock
        self._telemetry = telemetry
        self._currency = currency
        self._node = socket.gethostname()
        self._version = importlib.metadata.version("trunkline")

    async def finished(self, live: LiveCall, verdict: Verdict) -> None:
        """Count, log and record the end of a call."""
        if not live.call.test:
            self._measure(live, verdict)
        log.info(
            "call_ended",
            result=verdict.result,
            reason=verdict.reason,
            ended_by=live.call.ended_by,
            sip_status=live.call.peer_status or verdict.sip_status,
            duration_s=round(live.call.talk_s, 3),
        )
        if live.recorded:
            return
        on_disk = self._records.add(self._record(live, verdict))
        if not live.call.test:
            await self._history.add(live.call, verdict)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(on_disk), _DISK_LIMIT_S)

    def _measure(self, live: LiveCall, verdict: Verdict) -> None:
        call, at = live.call, live.call.at
        trunk = call.trunk or NO_TRUNK
        self._telemetry.count(
            "calls_total", direction=call.direction, trunk=trunk, result=verdict.result, reason=verdict.reason
        )
        if verdict.result is Result.POLICY:
            self._telemetry.count("policy_denied_total", rule=verdict.reason)
        stages = {"ring": at.ringing, "answer": at.answered, "media": at.connected} if call.walk is None else {}
        for stage, moment in stages.items():
            if moment is not None:
                seconds = moment - at.invited
                self._telemetry.observe("call_setup_seconds", seconds, direction=call.direction, stage=stage)
        if call.trunk and at.dialled is not None and at.ringing is not None:
            self._telemetry.observe("post_dial_delay_seconds", at.ringing - at.dialled, trunk=call.trunk)
        if at.answered is not None:
            self._telemetry.observe("call_duration_seconds", live.call.talk_s, direction=call.direction)
        if at.answered is not None and at.connected is not None:
            waited_s = max(0.0, at.connected - at.answered)
            self._telemetry.observe("call_connect_seconds", waited_s, direction=call.direction)
        self._telemetry.count("dtmf_total", live.stats.digits_forwarded)
        for ring in call.hunt.rings if call.hunt is not None else ():
            self._telemetry.count("member_rings_total", reason=(ring.why or verdict).reason)

    def _record(self, live: LiveCall, verdict: Verdict) -> CallRecord:
        call, at = live.call, live.call.at
        outbound = call.direction is Direction.OUTBOUND
        return CallRecord(
            call_id=call.call_id,
            parent=call.parent,
            direction=call.direction,
            test=call.test,
            trunk=call.trunk or None,
            tried=call.tried,
            caller=Pii(call.caller),
            called=Pii(call.called),
            menu_path=call.walk.path if call.walk is not None else (),
            connected=None if call.connected_number is None else Pii(call.connected_number),
            transfers=call.transfers,
            user=Pii(call.matrix.user) if call.matrix.user else None,
            group=call.hunt.group if call.hunt is not None else "",
            room_id=call.matrix.room_id,
            matrix_call_id=call.matrix.call_id if outbound or call.matrix.room_id else None,
            sip_call_id=call.sip_call_id,
            t_invite=call.began_wall,
            t_ring=call.wall(at.ringing),
            early_media=at.early is not None,
            t_answer=call.wall(at.answered),
            t_end=call.wall(at.ended) or self._clock.wall(),
            duration_s=live.call.talk_s,
            cost=None if live.cost is None else shown(live.cost),
            currency=None if live.cost is None else self._currency() or None,
            result=verdict.result,
            reason=verdict.reason,
            sip_status=call.peer_status or verdict.sip_status,
            q850=call.peer_q850 or verdict.q850,
            matrix_reason=verdict.matrix_reason,
            ended_by=call.ended_by or "",
            verification=live.verification,
            matrix=_leg(live.stats.matrix, live.stats.heard_by_sip),
            sip=_leg(live.stats.sip, live.stats.heard_by_matrix),
            transcoded=live.stats.transcoded,
            silent=live.stats.silent or "",
            digits=live.stats.digits_forwarded,
            node=self._node,
            version=self._version,
        )


def _leg(stats: LegStats, heard: HeardStats) -> LegRecord:
    """A leg, and what became of its audio on the other side."""
    return LegRecord(
        codec=stats.codec,
        packets_received=stats.packets_received,
        packets_sent=stats.packets_sent,
        packets_lost=stats.packets_lost,
        jitter_ms=stats.jitter_ms,
        round_trip_ms=stats.round_trip_ms,
        far_packets_lost=stats.far_packets_lost,
        far_jitter_ms=stats.far_jitter_ms,
        frames_played=heard.frames_played,
        frames_concealed=heard.frames_concealed,
        packets_discarded=heard.packets_discarded,
        playout_delay_ms=heard.playout_delay_ms,
        audible=heard.audible,
        mos=stats.mos,
    )
