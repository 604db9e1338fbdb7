"""A call that goes on over the next trunk: what its audio, its trunks and its user get to hear of that."""

from bridge.core.ids import DialogKey
from bridge.numbers.dial_plan import DialRule
from bridge.numbers.permission import Permission
from bridge.sip.events import CallAnswered, CallFailed, OutgoingCall
from tests.app.outsides import ALICE, PBX, TRUNK
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
    assert [(call.trunk, call.has_alternative) for call in placed(stage)] == [(TRUNK, True), (PBX, False)]
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


async def test_a_failure_of_every_trunk_is_one_reject_and_one_sentence(stage: Stage) -> None:
    over_two_trunks(stage)
    await stage.invite()
    for _ in range(2):
        stage.sip_intake.handle(CallFailed(dialog=dialog_of(stage), status=503, local=True))
        await stage.settle()
    assert stage.matrix.types() == ["m.call.reject", "m.room.message"]
    assert stage.reasons() == ["trunk_unreachable"]
    assert all(session.closed for session in stage.engine.sessions)
