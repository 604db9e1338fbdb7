"""A trunk that cannot carry a call hands it on; nobody's phone rings twice, and the caller notices nothing."""

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import snapshot
from bridge.calls.call import Call
from bridge.calls.state import SipLeg, State, Timer
from bridge.calls.way import Way
from bridge.core.ids import DialogKey, TrunkName
from bridge.core.verdict import MatrixReason
from bridge.media.verdicts import sip_refused
from tests.calls import scenes
from tests.calls.scenes import ALICE, CANDIDATE, LAPTOP, THEIR_CALL, only, run

BACKUP, LAST = TrunkName("backup"), TrunkName("last")


def dialling() -> Call:
    """Alice's call is with the first of three trunks."""
    call = scenes.dialling()
    call.further = (
        Way(trunk=BACKUP, number="+15550100", caller="+15550177", withheld=True, answers_early=True),
        Way(trunk=LAST, number="+15550100", caller="+15550188"),
    )
    return call


@pytest.mark.parametrize(
    ("failure", "goes_on"),
    [
        (ev.SipFailed(status=503, local=True), True),
        (ev.SipFailed(status=408, local=True), True),
        (ev.SipFailed(status=408), True),
        (ev.SipFailed(status=401), True),
        (ev.SipFailed(status=402), True),
        (ev.SipFailed(status=407), True),
        (ev.SipFailed(status=500), True),
        (ev.SipFailed(status=502), True),
        (ev.SipFailed(status=503), True),
        (ev.SipFailed(status=503, q850=34), True),
        (ev.SipFailed(status=503, q850=17), False),
        (ev.SipFailed(status=500, q850=1), False),
        (ev.SipFailed(status=484, local=True), False),
        (ev.SipFailed(status=403), False),
        (ev.SipFailed(status=404), False),
        (ev.SipFailed(status=410), False),
        (ev.SipFailed(status=480), False),
        (ev.SipFailed(status=484), False),
        (ev.SipFailed(status=486), False),
        (ev.SipFailed(status=487), False),
        (ev.SipFailed(status=488), False),
        (ev.SipFailed(status=600), False),
        (ev.SipFailed(status=603), False),
        (ev.SipFailed(status=302, redirected_to="+15550111"), False),
    ],
)
def test_only_what_the_trunk_itself_lacks_leads_to_the_next(failure: ev.SipFailed, *, goes_on: bool) -> None:
    call = dialling()
    commands = run(call, failure)
    assert call.state is (State.PREPARING if goes_on else State.ENDED)
    assert bool([command for command in commands if isinstance(command, cmd.SendReject)]) is not goes_on


def test_the_next_trunk_gets_the_call_in_its_own_way() -> None:
    call = dialling()
    run(call, ev.CandidatesReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, candidates=(CANDIDATE,)))
    assert run(call, ev.SipFailed(status=503)) == [
        cmd.NoteFailover(trunk=TrunkName("carrier"), reason="trunk_failure"),
        cmd.CloseMedia(),
        cmd.WriteSipOffer(matrix_sdp="alice offer"),
        cmd.AddCandidates(candidates=(CANDIDATE,)),
    ]
    assert (call.trunk, call.caller, call.withheld, call.answers_early) == (BACKUP, "+15550177", True, True)
    assert (call.tried, call.sip_leg, call.dialog) == ((TrunkName("carrier"),), SipLeg.NONE, None)
    assert run(call, ev.SipOfferReady(sdp="another offer")) == [cmd.PlaceSipCall(sdp="another offer")]
    call.dialog = DialogKey("dialog-2")
    run(call, ev.SipAnswered(sdp="phone answer"), ev.MatrixAnswerReady(sdp="our answer"))
    assert call.state is State.CONNECTING


@pytest.mark.parametrize("status", [180, 181, 182, 183])
def test_a_phone_that_has_rung_does_not_ring_again_over_another_trunk(status: int) -> None:
    call = dialling()
    run(call, ev.SipProgress(status=status))
    assert only(run(call, ev.SipFailed(status=503)), cmd.SendReject)


def test_when_every_trunk_has_failed_the_caller_is_told_once() -> None:
    call = dialling()
    told = []
    for _ in range(3):
        told += run(call, ev.SipFailed(status=503, local=True), ev.SipOfferReady(sdp="offer"))
    assert len([command for command in told if isinstance(command, cmd.SendReject)]) == 1
    assert len([command for command in told if isinstance(command, cmd.SendNotice)]) == 1
    assert (call.tried, call.trunk) == ((TrunkName("carrier"), BACKUP), LAST)
    assert call.verdict is not None
    assert call.verdict.reason == "trunk_unreachable"


def test_whom_one_trunk_had_on_the_line_is_not_who_the_next_one_calls() -> None:
    call = dialling()
    run(call, ev.IdentityChanged(number="+15550166", name="Another"), ev.SipReoffered(sdp="phone answer"))
    run(call, ev.SipFailed(status=503), ev.SipOfferReady(sdp="another offer"))
    answer = run(call, ev.SipAnswered(sdp="phone answer"))
    assert only(answer, cmd.WriteMatrixAnswer).sip_sdp == "phone answer"
    assert call.connected_number is None


def test_what_one_trunk_said_is_not_blamed_on_the_next() -> None:
    call = dialling()
    run(call, ev.SipFailed(status=503, q850=34), ev.SipOfferReady(sdp="offer"), ev.SipFailed(status=408, local=True))
    assert (call.peer_status, call.peer_q850) == (None, None)


def test_a_call_that_the_next_trunk_carried_was_refused_by_nobody() -> None:
    call = dialling()
    run(call, ev.SipFailed(status=503, q850=34), ev.SipOfferReady(sdp="offer"), ev.SipAnswered(sdp="phone answer"))
    assert (call.peer_status, call.peer_q850) == (None, None)


def test_who_gives_up_between_two_trunks_has_nothing_to_cancel() -> None:
    call = dialling()
    run(call, ev.SipFailed(status=503))
    commands = run(call, ev.HangupReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, reason=None))
    assert not [command for command in commands if isinstance(command, cmd.CancelSip | cmd.ByeSip)]
    assert call.ended


def test_the_invite_still_runs_out_in_its_own_time() -> None:
    call = dialling()
    run(call, ev.SipFailed(status=503), now=50.0)
    assert call.next_deadline() == 59.5


def test_the_ways_that_are_left_are_written_down() -> None:
    call = dialling()
    run(call, ev.SipFailed(status=503))
    assert snapshot.load(snapshot.dump(call)) == call


@pytest.mark.parametrize("status", [403, 404, 480, 486, 488, 503, 600, 603])
def test_an_emergency_call_goes_on_whatever_a_trunk_says_even_after_ringing(status: int) -> None:
    call = dialling()
    call.emergency = True
    run(call, ev.SipProgress(status=180))
    run(call, ev.SipFailed(status=status))
    assert (call.state, call.trunk) == (State.PREPARING, BACKUP)


@pytest.mark.parametrize(
    "failure",
    [ev.SipFailed(status=486), ev.TimerFired(timer=Timer.EXPIRY), ev.MediaRefused(verdict=sip_refused("x").verdict)],
)
def test_an_emergency_call_that_fails_is_never_shown_as_busy_and_always_explained(failure: ev.Event) -> None:
    call = scenes.dialling()
    call.emergency = True
    commands = run(call, failure)
    assert only(commands, cmd.SendReject).reason is MatrixReason.UNKNOWN_ERROR
    notice = only(commands, cmd.SendNotice)
    assert notice.urgent
    assert "EMERGENCY" in notice.text


def test_who_hangs_up_an_emergency_call_is_not_told_that_it_failed() -> None:
    call = scenes.dialling()
    call.emergency = True
    commands = run(call, ev.HangupReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, reason=None))
    assert not [command for command in commands if isinstance(command, cmd.SendNotice)]
