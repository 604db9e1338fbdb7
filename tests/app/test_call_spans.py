"""The stages of whole calls as spans: each lasts until the next, nothing in them names anybody."""

from itertools import pairwise

from bridge.app.call_tracing import CallTracing
from bridge.calls import media_events as medev
from bridge.calls import sip_events as sipev
from bridge.ops.spans.model import CallSpans
from tests.app.outsides import ALICE, PHONE
from tests.app.stage import Stage


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[CallSpans] = []

    def add(self, spans: CallSpans) -> None:
        self.calls.append(spans)


async def _played(stage: Stage) -> Kept:
    kept = Kept()
    stage.switchboard.tracing = CallTracing(clock=stage.clock, spans=kept)
    return kept


async def test_a_call_that_was_talked_in_has_all_its_stages(stage: Stage) -> None:
    kept = await _played(stage)
    await stage.invite()
    (live,) = stage.switchboard.lives()
    for event in (
        sipev.SipProgress(status=180),
        sipev.SipAnswered(sdp="phone answer"),
        medev.MediaConnected(),
    ):
        stage.switchboard.feed(live, event)
        await stage.settle()
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    (spans,) = kept.calls
    assert [stage.name for stage in spans.stages] == ["matrix_invite", "dial", "ring", "media_setup", "talk"]
    borders = [(stage.began, stage.ended) for stage in spans.stages]
    assert borders[0][0] == spans.whole.began
    assert borders[-1][1] == spans.whole.ended
    assert all(ended == began for (_, ended), (began, _) in pairwise(borders))
    assert spans.whole.name == "call outbound"
    assert spans.whole.fault == ""
    facts = spans.whole.attributes
    assert (facts["trunkline.result"], facts["trunkline.reason"]) == ("success", "completed")
    assert [moment.name for moment in spans.whole.moments][:2] == ["preparing", "dialling"]
    assert [moment.name for moment in spans.whole.moments][-2:] == ["connected", "ended"]
    text = repr(spans)
    assert not any(person in text for person in (ALICE, PHONE, PHONE.removeprefix("+")))


async def test_a_call_that_a_trunk_has_failed_is_an_error(stage: Stage) -> None:
    kept = await _played(stage)
    await stage.invite()
    (live,) = stage.switchboard.lives()
    stage.switchboard.feed(live, sipev.SipFailed(status=500, local=False))
    await stage.settle()
    (spans,) = kept.calls
    assert [stage.name for stage in spans.stages] == ["matrix_invite", "dial"]
    assert spans.whole.fault == spans.whole.attributes["trunkline.reason"] == "trunk_failure"
    assert spans.whole.attributes["sip.status_code"] == 500


async def test_nobody_is_to_blame_for_a_busy_phone(stage: Stage) -> None:
    kept = await _played(stage)
    await stage.invite()
    (live,) = stage.switchboard.lives()
    stage.switchboard.feed(live, sipev.SipFailed(status=486, local=False))
    await stage.settle()
    assert kept.calls[0].whole.fault == ""


async def test_a_call_from_a_phone_begins_with_its_invite(stage: Stage) -> None:
    kept = await _played(stage)
    await stage.incoming()
    (live,) = stage.switchboard.lives()
    stage.switchboard.feed(live, sipev.SipCancelled())
    await stage.settle()
    (spans,) = kept.calls
    assert (spans.whole.name, spans.stages[0].name) == ("call inbound", "sip_invite")
