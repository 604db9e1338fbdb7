"""A trunk that cannot carry a call hands it on; nobody's phone rings twice, and the caller notices nothing."""

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
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
        (sipev.SipFailed(status=503, local=True), True),
        (sipev.SipFailed(status=408, local=True), True),
        (sipev.SipFailed(status=408), True),
        (sipev.SipFailed(status=401), True),
        (sipev.SipFailed(status=402), True),
        (sipev.SipFailed(status=407), True),
        (sipev.SipFailed(status=500), True),
        (sipev.SipFailed(status=502), True),
        (sipev.SipFailed(status=503), True),
        (sipev.SipFailed(status=503, q850=34), True),
        (sipev.SipFailed(status=503, q850=17), False),
        (sipev.SipFailed(status=500, q850=1), False),
        (sipev.SipFailed(status=484, local=True), False),
        (sipev.SipFailed(status=403), False),
        (sipev.SipFailed(status=404), False),
        (sipev.SipFailed(status=410), False),
        (sipev.SipFailed(status=480), False),
        (sipev.SipFailed(status=484), False),
        (sipev.SipFailed(status=486), False),
        (sipev.SipFailed(status=487), False),
        (sipev.SipFailed(status=488), False),
        (sipev.SipFailed(status=600), False),
        (sipev.SipFailed(status=603), False),
        (sipev.SipFailed(status=302, redirected_to="+15550111"), False),
    ],
)
def test_only_what_the_trunk_itself_lacks_leads_to_the_next(failure: sipev.SipFailed, *, goes_on: bool) -> None:
    call = dialling()
    commands = run(call, failure)
    assert call.state is (State.PREPARING if goes_on else State.ENDED)
    assert bool([command for command in commands if isinstance(command, mxcmd.SendReject)]) is not goes_on


def test_the_next_trunk_gets_the_call_in_its_own_way() -> None:
    call = dialling()
    run(call, mxev.CandidatesReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, candidates=(CANDIDATE,)))
    assert run(call, sipev.SipFailed(status=503)) == [
        cmd.NoteFailover(trunk=TrunkName("carrier"), reason="trunk_failure"),
        medcmd.CloseMedia(),
        medcmd.WriteSipOffer(matrix_sdp="alice offer"),
        medcmd.AddCandidates(candidates=(CANDIDATE,)),
    ]
    assert (call.trunk, call.caller, call.withheld, call.answers_early) == (BACKUP, "+15550177", True, True)
    assert (call.tried, call.sip_leg, call.dialog) == ((TrunkName("carrier"),), SipLeg.NONE, None)
    assert run(call, medev.SipOfferReady(sdp="another offer")) == [sipcmd.PlaceSipCall(sdp="another offer")]
    call.dialog = DialogKey("dialog-2")
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"))
    assert call.state is State.CONNECTING


@pytest.mark.parametrize("status", [180, 181, 182, 183])
def test_a_phone_that_has_rung_does_not_ring_again_over_another_trunk(status: int) -> None:
    call = dialling()
    run(call, sipev.SipProgress(status=status))
    assert only(run(call, sipev.SipFailed(status=503)), mxcmd.SendReject)


def test_when_every_trunk_has_failed_the_caller_is_told_once() -> None:
    call = dialling()
    told = []
    for _ in range(3):
        told += run(call, sipev.SipFailed(status=503, local=True), medev.SipOfferReady(sdp="offer"))
    assert len([command for command in told if isinstance(command, mxcmd.SendReject)]) == 1
    assert len([command for command in told if isinstance(command, mxcmd.SendNotice)]) == 1
    assert (call.tried, call.trunk) == ((TrunkName("carrier"), BACKUP), LAST)
    assert call.verdict is not None
    assert call.verdict.reason == "trunk_unreachable"


def test_whom_one_trunk_had_on_the_line_is_not_who_the_next_one_calls() -> None:
    call = dialling()
    run(call, sipev.IdentityChanged(number="+15550166", name="Another"), sipev.SipReoffered(sdp="phone answer"))
    run(call, sipev.SipFailed(status=503), medev.SipOfferReady(sdp="another offer"))
    answer = run(call, sipev.SipAnswered(sdp="phone answer"))
    assert only(answer, medcmd.WriteMatrixAnswer).sip_sdp == "phone answer"
    assert call.connected_number is None


def test_what_one_trunk_said_is_not_blamed_on_the_next() -> None:
    call = dialling()
    run(
        call,
        sipev.SipFailed(status=503, q850=34),
        medev.SipOfferReady(sdp="offer"),
        sipev.SipFailed(status=408, local=True),
    )
    assert (call.peer_status, call.peer_q850) == (None, None)


def test_a_call_that_the_next_trunk_carried_was_refused_by_nobody() -> None:
    call = dialling()
    run(
        call,
        sipev.SipFailed(status=503, q850=34),
        medev.SipOfferReady(sdp="offer"),
        sipev.SipAnswered(sdp="phone answer"),
    )
    assert (call.peer_status, call.peer_q850) == (None, None)


def test_who_gives_up_between_two_trunks_has_nothing_to_cancel() -> None:
    call = dialling()
    run(call, sipev.SipFailed(status=503))
    commands = run(call, mxev.HangupReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, reason=None))
    assert not [command for command in commands if isinstance(command, sipcmd.CancelSip | sipcmd.ByeSip)]
    assert call.ended


def test_the_invite_still_runs_out_in_its_own_time() -> None:
    call = dialling()
    run(call, sipev.SipFailed(status=503), now=50.0)
    assert call.next_deadline() == 59.5


def test_the_ways_that_are_left_are_written_down() -> None:
    call = dialling()
    run(call, sipev.SipFailed(status=503))
    assert snapshot.load(snapshot.dump(call)) == call


@pytest.mark.parametrize("status", [403, 404, 480, 486, 488, 503, 600, 603])
def test_an_emergency_call_goes_on_whatever_a_trunk_says_even_after_ringing(status: int) -> None:
    call = dialling()
    call.emergency = True
    run(call, sipev.SipProgress(status=180))
    run(call, sipev.SipFailed(status=status))
    assert (call.state, call.trunk) == (State.PREPARING, BACKUP)


@pytest.mark.parametrize(
    "failure",
    [
        sipev.SipFailed(status=486),
        ev.TimerFired(timer=Timer.EXPIRY),
        medev.MediaRefused(verdict=sip_refused("x").verdict),
    ],
)
def test_an_emergency_call_that_fails_is_never_shown_as_busy_and_always_explained(failure: ev.Event) -> None:
    call = scenes.dialling()
    call.emergency = True
    commands = run(call, failure)
    assert only(commands, mxcmd.SendReject).reason is MatrixReason.UNKNOWN_ERROR
    notice = only(commands, mxcmd.SendNotice)
    assert notice.urgent
    assert "EMERGENCY" in notice.text


def test_who_hangs_up_an_emergency_call_is_not_told_that_it_failed() -> None:
    call = scenes.dialling()
    call.emergency = True
    commands = run(call, mxev.HangupReceived(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, reason=None))
    assert not [command for command in commands if isinstance(command, mxcmd.SendNotice)]
