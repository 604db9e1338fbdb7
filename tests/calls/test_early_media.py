"""What the telephone network plays before the phone is answered, on a trunk that is set to let it through."""

from collections.abc import Callable

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes, snapshot
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.state import EndedBy, State, Timer
from bridge.core.verdict import MatrixReason
from tests.calls import scenes
from tests.calls.scenes import BRIDGE, LAPTOP, PHONE, THEIR_CALL, TIMES, only, run

ANNOUNCED = sipev.SipProgress(status=183, sdp="announcement")


def dialling() -> Call:
    call = scenes.dialling()
    call.answers_early = True
    return call


def answering() -> Call:
    """The answer to the caller is being written."""
    call = dialling()
    run(call, ANNOUNCED)
    return call


def early(*, connected: bool = True) -> Call:
    """The caller hears the network."""
    call = answering()
    run(call, medev.MatrixAnswerReady(sdp="our answer"), *([medev.MediaConnected()] if connected else []), now=10.0)
    return call


def test_an_announcement_is_answered_to_the_caller_while_the_phone_is_not_answered() -> None:
    call = dialling()
    assert run(call, ANNOUNCED) == [medcmd.WriteMatrixAnswer(sip_sdp="announcement", early=True)]
    assert run(call, medev.MatrixAnswerReady(sdp="our answer")) == [mxcmd.SendAnswer(sdp="our answer")]
    assert (call.state, call.at.answered, call.at.ringing) == (State.EARLY, None, 1.0)


@pytest.mark.parametrize(
    "progress",
    [sipev.SipProgress(status=180), sipev.SipProgress(status=180, sdp="ringing tone"), sipev.SipProgress(status=183)],
)
def test_ringing_is_left_to_the_callers_client(progress: sipev.SipProgress) -> None:
    call = dialling()
    assert run(call, progress) == []
    assert call.state is State.DIALLING


def test_without_the_setting_an_announcement_is_ringing_too() -> None:
    call = scenes.dialling()
    assert run(call, ANNOUNCED) == []
    assert run(call, sipev.SipAnswered(sdp="announcement")) == [medcmd.WriteMatrixAnswer(sip_sdp="announcement")]


def test_the_phones_answer_needs_no_event_and_time_counts_from_it() -> None:
    call = early()
    assert run(call, sipev.SipAnswered(sdp="announcement"), now=30.0) == [
        medcmd.TakeSipAnswer(sip_sdp=None),
        medcmd.WriteSipReoffer(),
    ]
    assert (call.state, call.at.answered) == (State.CONNECTED, 30.0)
    run(call, scenes.hangup(), now=50.0)
    assert call.talk_s == 20.0


def test_a_phone_that_answers_with_another_description_is_heard_there() -> None:
    assert run(early(), sipev.SipAnswered(sdp="the phone itself"))[0] == medcmd.TakeSipAnswer(
        sip_sdp="the phone itself"
    )


def test_another_phone_that_begins_to_play_is_heard_instead() -> None:
    call = early()
    assert run(call, ANNOUNCED, sipev.SipProgress(status=180)) == []
    voice_mail = sipev.SipProgress(status=183, sdp="voice mail")
    assert run(call, voice_mail) == [medcmd.TakeSipAnswer(sip_sdp="voice mail", early=True)]
    assert run(call, sipev.SipAnswered(sdp="voice mail"))[0] == medcmd.TakeSipAnswer(sip_sdp=None)


def test_a_phone_that_is_answered_before_the_caller_was_told_makes_an_ordinary_call() -> None:
    call = answering()
    assert run(call, sipev.SipAnswered(sdp="the phone itself")) == [medcmd.TakeSipAnswer(sip_sdp="the phone itself")]
    assert run(call, medev.MatrixAnswerReady(sdp="our answer")) == [mxcmd.SendAnswer(sdp="our answer")]
    assert (call.state, call.at.early) == (State.CONNECTING, None)


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (404, MatrixReason.UNKNOWN_ERROR, "not in service"),
        (486, MatrixReason.USER_BUSY, "busy"),
        (603, MatrixReason.USER_HANGUP, "declined"),
        (480, MatrixReason.INVITE_TIMEOUT, "answered"),
        (500, MatrixReason.UNKNOWN_ERROR, "could not complete"),
    ],
)
def test_every_failure_after_an_announcement_is_a_hangup_and_is_explained(
    status: int, reason: MatrixReason, said: str
) -> None:
    call = early()
    commands = run(call, sipev.SipFailed(status=status))
    assert only(commands, mxcmd.SendHangup).reason is reason
    assert said in only(commands, mxcmd.SendNotice).text
    assert not any(isinstance(command, mxcmd.SendReject | sipcmd.CancelSip | sipcmd.ByeSip) for command in commands)
    assert (call.talk_s, call.at.early is not None) == (0.0, True)


def test_a_failure_while_the_answer_is_still_written_is_a_reject() -> None:
    commands = run(answering(), sipev.SipFailed(status=486))
    assert only(commands, mxcmd.SendReject).reason is MatrixReason.USER_BUSY
    assert not any(isinstance(command, mxcmd.SendHangup | mxcmd.SendNotice) for command in commands)


@pytest.mark.parametrize("reason", [None, "user_hangup", "ice_failed"])
def test_a_caller_who_has_heard_enough_cancels(reason: str | None) -> None:
    call = early()
    commands = run(call, scenes.hangup(reason=reason))
    assert scenes.kinds(commands) == [sipcmd.CancelSip, medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict is (outcomes.ICE_FAILED if reason == "ice_failed" else outcomes.CANCELLED)
    assert call.ended_by is EndedBy.MATRIX


def test_a_phone_that_nobody_answers_rings_no_longer_than_others() -> None:
    call = early()
    assert call.deadlines == {Timer.EXPIRY: 10.0 + TIMES.ring_s}
    commands = run(call, ev.TimerFired(timer=Timer.EXPIRY))
    assert only(commands, sipcmd.CancelSip)
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.INVITE_TIMEOUT


def test_a_client_whose_audio_does_not_come_up_is_not_kept() -> None:
    call = early(connected=False)
    assert call.next_deadline() == 10.0 + TIMES.connect_s
    commands = run(call, ev.TimerFired(timer=Timer.CONNECT))
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.ICE_FAILED
    assert only(commands, sipcmd.CancelSip)


def test_audio_that_comes_up_after_the_answer_connects_the_call() -> None:
    call = early(connected=False)
    states = []
    for event in (sipev.SipAnswered(sdp="announcement"), medev.MediaConnected()):
        run(call, event)
        states.append(call.state)
    assert states == [State.CONNECTING, State.CONNECTED]


@pytest.mark.parametrize("begin", [answering, early])
def test_a_phone_that_answers_without_any_description_is_not_listened_to_elsewhere(begin: Callable[[], Call]) -> None:
    call = begin()
    commands = run(call, sipev.SipAnswered())
    assert only(commands, sipcmd.ByeSip)
    assert call.verdict is outcomes.NO_DESCRIPTION


def test_hold_while_it_rings_is_told_to_the_phone_when_it_answers() -> None:
    call = early()
    hold = mxev.MatrixReoffered(matrix_call_id=THEIR_CALL, user=scenes.ALICE, party=LAPTOP, sdp="hold")
    assert run(call, hold) == [medcmd.AnswerMatrixReoffer(matrix_sdp="hold")]
    assert run(call, medev.MatrixReofferAnswered(sdp="held")) == [mxcmd.SendNegotiateAnswer(sdp="held")]
    assert medcmd.WriteSipReoffer() in run(call, sipev.SipAnswered(sdp="announcement"))


def test_candidates_count_from_the_callers_device_alone() -> None:
    call = early()
    assert scenes.kinds(run(call, scenes.candidates(LAPTOP, THEIR_CALL))) == [medcmd.AddCandidates]
    assert run(call, scenes.candidates(PHONE, THEIR_CALL)) == []


def test_another_answer_that_was_selected_cancels_in_silence() -> None:
    call = early()
    ours = mxev.AnswerSelected(matrix_call_id=THEIR_CALL, user=scenes.ALICE, party=LAPTOP, selected_party=BRIDGE)
    assert run(call, ours) == []
    other = mxev.AnswerSelected(matrix_call_id=THEIR_CALL, user=scenes.ALICE, party=LAPTOP, selected_party=PHONE)
    assert scenes.kinds(run(call, other)) == [sipcmd.CancelSip, medcmd.CloseMedia, cmd.FinishCall]


def test_a_client_learns_at_once_who_rings_instead() -> None:
    assert run(early(), sipev.IdentityChanged(number="+15550111")) == [mxcmd.SendIdentity(number="+15550111", name="")]


@pytest.mark.parametrize("begin", [scenes.dialling, dialling, answering, early])
def test_an_offer_of_the_phones_side_before_the_answer_is_answered_and_holds(begin: Callable[[], Call]) -> None:
    """UPDATE, after a reliable 183 (RFC 3311)."""
    call = begin()
    assert run(call, sipev.SipReoffered(sdp="moved")) == [medcmd.AnswerReoffer(sip_sdp="moved")]
    assert run(call, medev.ReofferAnswered(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]
    commands = run(call, sipev.SipAnswered(sdp="moved"))
    takes = [c.sip_sdp for c in commands if isinstance(c, medcmd.TakeSipAnswer | medcmd.WriteMatrixAnswer)]
    assert takes == [None]


def test_nothing_that_is_written_down_of_it_has_keys() -> None:
    call = dialling()
    run(call, sipev.SipProgress(status=183, sdp="a=crypto"), medev.MatrixAnswerReady(sdp="our answer"))
    assert "a=crypto" not in snapshot.dump(call)
