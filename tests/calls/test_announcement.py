"""The bridge speaks to a user whose call may not be made, or not go on: what each side is told, however it goes."""

import pytest

from bridge.calls import announcement_commands as acmd
from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.call import Call
from bridge.calls.state import EndedBy, MatrixLeg, State, Timer
from bridge.core.verdict import MatrixReason
from bridge.numbers.limits import LIMIT_REACHED, TOO_MANY_ATTEMPTS
from bridge.numbers.refusals import NO_EMERGENCY_CALLS
from tests.calls import scenes
from tests.calls.scenes import kinds, only, run

REFUSED = ev.CallRefused(verdict=NO_EMERGENCY_CALLS)
STOPPED = ev.Aborted(verdict=LIMIT_REACHED)
READY = AnnouncementReady(sdp="our answer")
PLAYED = mev.SoundPlayed()
REASONS = frozenset((NO_EMERGENCY_CALLS.reason, LIMIT_REACHED.reason))


def spoken_to(call: Call) -> Call:
    call.spoken = REASONS
    return call


def refusing() -> Call:
    call = spoken_to(scenes.outgoing())
    call.emergency = True
    run(call, REFUSED)
    return call


def telling() -> Call:
    """The user hears why there is no call."""
    call = refusing()
    run(call, READY)
    return call


def stopped() -> Call:
    """The user hears why there is no call any more."""
    call = spoken_to(scenes.talking())
    run(call, STOPPED, now=100.0)
    return call


def test_a_refusal_is_written_at_once_and_then_said() -> None:
    call = spoken_to(scenes.outgoing())
    call.emergency = True
    commands = run(call, REFUSED)
    assert commands == [
        mxcmd.SendNotice(text=NO_EMERGENCY_CALLS.user_text or "", urgent=True),
        acmd.WriteAnnouncementAnswer(matrix_sdp="alice offer"),
    ]
    assert run(call, scenes.candidates(scenes.LAPTOP, scenes.THEIR_CALL)) == [
        medcmd.AddCandidates(candidates=(scenes.CANDIDATE,))
    ]
    assert run(call, READY) == [mxcmd.SendAnswer(sdp="our answer"), acmd.Announce(reason="emergency_refused")]
    assert run(call, medev.MediaConnected()) == []
    commands = run(call, PLAYED)
    assert commands == [
        mxcmd.SendHangup(reason=MatrixReason.UNKNOWN_ERROR),
        medcmd.CloseMedia(),
        cmd.FinishCall(verdict=NO_EMERGENCY_CALLS),
    ]
    assert call.ended_by is EndedBy.BRIDGE
    assert (call.answered, call.talk_s, call.illegal_events) == (False, 0.0, 0)


@pytest.mark.parametrize("verdict", [TOO_MANY_ATTEMPTS, NO_EMERGENCY_CALLS])
def test_what_cannot_be_said_is_written_alone(verdict: object) -> None:
    call = scenes.outgoing()
    call.spoken = REASONS if verdict is TOO_MANY_ATTEMPTS else frozenset()
    commands = run(call, ev.CallRefused(verdict=TOO_MANY_ATTEMPTS))
    assert kinds(commands) == [mxcmd.SendReject, mxcmd.SendNotice, medcmd.CloseMedia, cmd.FinishCall]


@pytest.mark.parametrize("event", [medev.MediaRefused(verdict=LIMIT_REACHED), ev.TimerFired(timer=Timer.EXPIRY)])
def test_a_client_that_cannot_be_answered_is_rejected_and_nothing_is_written_twice(event: ev.Event) -> None:
    call = refusing()
    commands = run(call, event)
    assert kinds(commands) == [mxcmd.SendReject, medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict is NO_EMERGENCY_CALLS


@pytest.mark.parametrize(
    "event",
    [ev.TimerFired(timer=Timer.TELLING), medev.MediaLost(reason=MatrixReason.ICE_FAILED), STOPPED],
)
@pytest.mark.parametrize("begin", [telling, stopped])
def test_a_user_who_cannot_hear_it_is_let_go(begin: object, event: ev.Event) -> None:
    call = telling() if begin is telling else stopped()
    told = call.told
    commands = run(call, event, now=200.0)
    assert kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict is told


@pytest.mark.parametrize(
    "event",
    [
        scenes.hangup(),
        mxev.MemberLeft(user=scenes.ALICE),
        mxev.AnswerSelected(
            matrix_call_id=scenes.THEIR_CALL, user=scenes.ALICE, party=scenes.LAPTOP, selected_party=scenes.PHONE
        ),
    ],
)
def test_a_user_who_has_heard_enough_is_told_nothing_more(event: ev.Event) -> None:
    call = telling()
    assert kinds(run(call, event)) == [medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by) == (NO_EMERGENCY_CALLS, EndedBy.MATRIX)


@pytest.mark.parametrize(
    "event",
    [
        scenes.hangup(party=scenes.PHONE),
        mxev.MemberLeft(user=scenes.MALLORY),
        mxev.AnswerSelected(
            matrix_call_id=scenes.THEIR_CALL, user=scenes.ALICE, party=scenes.LAPTOP, selected_party=scenes.BRIDGE
        ),
    ],
)
def test_who_is_not_meant_ends_nothing(event: ev.Event) -> None:
    call = telling()
    assert run(call, event) == []
    assert call.state is State.TELLING


def test_at_a_limit_the_phone_goes_first_and_its_user_hears_why() -> None:
    call = spoken_to(scenes.talking())
    commands = run(call, STOPPED, now=100.0)
    assert kinds(commands) == [sipcmd.ByeSip, mxcmd.SendNotice, acmd.DropSipMedia, acmd.Announce]
    assert only(commands, acmd.Announce).reason == "limit_reached"
    assert call.matrix_leg is MatrixLeg.ANSWERED
    assert run(call, sipev.SipEnded(), sipev.SipReoffered(sdp="late")) == []
    commands = run(call, PLAYED, now=104.0)
    assert kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]
    assert call.talk_s == 99.0, "what the user heard of us is no talk"
    assert call.verdict is LIMIT_REACHED


def test_the_warning_before_means_nothing_to_a_call() -> None:
    call = spoken_to(scenes.talking())
    assert run(call, PLAYED) == []
    assert call.illegal_events == 0


def test_a_client_may_hold_what_it_hears() -> None:
    call = telling()
    offer = mxev.MatrixReoffered(
        matrix_call_id=scenes.THEIR_CALL, user=scenes.ALICE, party=scenes.LAPTOP, sdp="held offer"
    )
    assert kinds(run(call, offer)) == [medcmd.AnswerMatrixReoffer]
    assert kinds(run(call, medev.MatrixReofferAnswered(sdp="held answer"))) == [mxcmd.SendNegotiateAnswer]
