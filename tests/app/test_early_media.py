"""A trunk whose announcements are let through: what the caller's room, the media session and the trunk are told."""

import asyncio

import pytest

from bridge.app.history import History
from bridge.app.reporting import Reporting
from bridge.core.clock import SystemClock
from bridge.core.ids import DialogKey
from bridge.core.telemetry import Telemetry
from bridge.ops.records import CallRecord, CallRecords
from bridge.sip.events import CallAnswered, CallFailed, CallProgress, CallReoffered
from tests.app.stage import Stage


@pytest.fixture
def stage_with_announcements(stage: Stage) -> Stage:
    stage.answers_early = True
    stage.__post_init__()
    return stage


async def announced(stage: Stage, sdp: str = "announcement") -> DialogKey:
    """Alice calls, and the network plays something."""
    await stage.invite()
    dialog = next(iter(stage.switchboard.lives())).call.dialog
    assert dialog is not None
    stage.sip_intake.handle(CallProgress(dialog=dialog, status=183, sdp=sdp))
    await stage.settle()
    return dialog


async def test_an_announcement_is_heard_and_its_end_is_a_hangup_with_an_explanation(
    stage_with_announcements: Stage,
) -> None:
    stage = stage_with_announcements
    dialog = await announced(stage)
    assert stage.engine.sessions[0].asked == ["set_matrix_offer", "set_sip_answer early"]
    stage.sip_intake.handle(CallFailed(dialog=dialog, status=404))
    await stage.settle()
    assert stage.matrix.types() == ["m.call.answer", "m.call.candidates", "m.call.hangup", "m.room.message"]
    assert stage.matrix.content("m.call.hangup")["reason"] == "unknown_error"
    assert stage.reasons() == ["not_in_service"]


async def test_the_answer_of_the_phone_makes_it_the_call_that_it_is(stage_with_announcements: Stage) -> None:
    stage = stage_with_announcements
    dialog = await announced(stage)
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="announcement"))
    await stage.settle()
    assert stage.engine.sessions[0].asked[-1] == "keep_sip_answer"
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    assert stage.matrix.types() == ["m.call.answer", "m.call.candidates"]
    assert stage.sip.names() == ["invite", "bye"]
    assert stage.reasons() == ["no_media"]


async def test_an_announcement_that_cannot_be_understood_ends_the_call_on_both_sides(
    stage_with_announcements: Stage,
) -> None:
    stage = stage_with_announcements
    await announced(stage, "unusable")
    assert stage.matrix.types()[0] == "m.call.reject"
    assert stage.sip.names() == ["invite", "cancel"]


async def test_an_update_before_the_answer_gets_its_answer(stage: Stage) -> None:
    dialog = await announced(stage)
    stage.sip_intake.handle(CallReoffered(dialog=dialog, sdp="moved"))
    await stage.settle()
    assert stage.sip.commands[-1] == ("accept", dialog, "our answer to sip")
    assert stage.matrix.sent == []


async def test_the_record_says_that_the_phone_was_heard_and_never_answered(stage_with_announcements: Stage) -> None:
    stage = stage_with_announcements
    dialog = await announced(stage)
    live = next(iter(stage.switchboard.lives()))
    stage.sip_intake.handle(CallFailed(dialog=dialog, status=486))
    await stage.settle()
    assert live.call.verdict is not None
    kept, clock = Kept(None, telemetry=stage.telemetry), SystemClock()
    history = History(stage.store, days=0, clock=clock)
    reporting = Reporting(records=kept, history=history, clock=clock, telemetry=stage.telemetry)
    await reporting.finished(live, live.call.verdict)
    record = kept.records[0]
    assert (record.early_media, record.t_answer, record.duration_s) == (True, None, 0.0)


class Kept(CallRecords):
    """Records that stay in memory."""

    def __init__(self, path: None, *, telemetry: Telemetry) -> None:
        super().__init__(path, telemetry=telemetry)
        self.records: list[CallRecord] = []

    def add(self, record: CallRecord) -> asyncio.Future[None]:
        self.records.append(record)
        return super().add(record)
