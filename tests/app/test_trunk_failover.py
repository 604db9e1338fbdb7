"""A call that goes on over the next trunk: what its audio, its trunks and its user get to hear of that."""

from dataclasses import replace
from pathlib import Path

from bridge.app.media_facts import feed_media
from bridge.calls.announcement import NO_HELP
from bridge.core.ids import DialogKey, UserId
from bridge.media.engine import SoundPlayed
from bridge.numbers.dial_plan import DialRule
from bridge.numbers.permission import Permission
from bridge.numbers.policy import TrunkChoice
from bridge.sip.events import CallAnswered, CallFailed, OutgoingCall
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, PBX, ROOM, TRUNK
from tests.app.stage import Stage


def over_two_trunks(stage: Stage) -> None:
    stage.permissions = (Permission(who=(ALICE,), prefixes=("+1555",)),)
    stage.rules = (DialRule(prefixes=("+1555",), trunks=(TRUNK, PBX)),)
    stage.__post_init__()


def placed(stage: Stage) -> list[OutgoingCall]:
    return [command[1] for command in stage.sip.commands if command[0] == "invite"]


def dialog_of(stage: Stage) -> DialogKey:
    dialog = next(iter(stage.switchboard.lives())).call.dialog
    assert dialog is not None
    return dialog


async def test_a_call_goes_on_over_the_next_trunk_with_a_session_that_suits_it(stage: Stage) -> None:
    over_two_trunks(stage)
    await stage.invite()
    first = dialog_of(stage)
    stage.sip_intake.handle(CallFailed(dialog=first, status=503))
    await stage.settle()
    assert [(call.trunk, call.impatient) for call in placed(stage)] == [(TRUNK, True), (PBX, False)]
    assert [session.closed for session in stage.engine.sessions] == [True, False]
    assert [policy.ptime_ms for policy in stage.engine.policies] == [20, 30]
    stage.sip_intake.handle(CallAnswered(dialog=dialog_of(stage), sdp="phone answer"))
    await stage.settle()
    assert stage.matrix.types() == ["m.call.answer", "m.call.candidates"]
    metrics = stage.telemetry.exposition().decode()
    assert 'trunk_failovers_total{reason="trunk_failure",trunk="carrier"} 1.0' in metrics


async def test_what_a_trunk_says_after_it_was_given_up_means_nothing(stage: Stage) -> None:
    over_two_trunks(stage)
    await stage.invite()
    first = dialog_of(stage)
    for status in (408, 487):
        stage.sip_intake.handle(CallFailed(dialog=first, status=status, local=True))
    await stage.settle()
    live = next(iter(stage.switchboard.lives()))
    assert (live.call.trunk, live.call.illegal_events) == (PBX, 0)
    assert stage.matrix.types() == []


async def test_who_calls_for_help_hears_at_once_that_the_only_trunk_has_failed(tmp_path: Path) -> None:
    async with open_stage(tmp_path, spoken=(NO_HELP,)) as stage:
        stage.plan = replace(stage.plan, trunks=(TrunkChoice(name=TRUNK, emergency=True),))
        stage.matrix.members = {ROOM: frozenset({ALICE, UserId("@_sip_112:example.org")})}
        await stage.invite()
        assert [(call.called, call.impatient, call.urgent) for call in placed(stage)] == [("112", False, True)]
        stage.sip_intake.handle(CallFailed(dialog=dialog_of(stage), status=408, local=True))
        await stage.settle()
        assert stage.matrix.types() == ["m.room.message", "m.call.answer", "m.call.candidates"]
        assert "EMERGENCY" in stage.matrix.content("m.room.message")["body"]
        assert [session.closed for session in stage.engine.sessions] == [True, False]
        assert stage.engine.sessions[-1].asked == ["set_matrix_offer", "play to matrix"]
        (live,) = stage.switchboard.lives()
        feed_media(stage.switchboard, stage.messages, SoundPlayed(call_id=live.call.call_id, number=live.playing))
        await stage.settle()
        assert stage.reasons() == ["trunk_unreachable"]


async def test_a_failure_of_every_trunk_is_one_reject_and_one_sentence(stage: Stage) -> None:
    over_two_trunks(stage)
    await stage.invite()
    for _ in range(2):
        stage.sip_intake.handle(CallFailed(dialog=dialog_of(stage), status=503, local=True))
        await stage.settle()
    assert stage.matrix.types() == ["m.call.reject", "m.room.message"]
    assert stage.reasons() == ["trunk_unreachable"]
    assert all(session.closed for session in stage.engine.sessions)
