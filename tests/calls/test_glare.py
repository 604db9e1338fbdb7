"""Crossing calls: exactly one survives, whichever side was first and whatever the clients implement."""

from collections.abc import Callable

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import glare
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls.call import Call
from bridge.calls.state import State, Timer
from bridge.core.ids import MatrixCallId, RoomId
from bridge.core.verdict import MatrixReason
from tests.calls import scenes
from tests.calls.scenes import DIALOG, GHOST, LAPTOP, MALLORY, OTHER_DIALOG, OUR_CALL, ROOM, THEIR_CALL, only, run

SORTS_LAST = MatrixCallId("~sorts after ours")


def other_call(call_id: MatrixCallId, room_id: RoomId = ROOM) -> mxcmd.OtherMatrixCall:
    return mxcmd.OtherMatrixCall(call_id=call_id, room_id=room_id, ghost=GHOST, version=1)


def finish(call: Call) -> list[cmd.Command]:
    return run(call, medev.BothAnswersReady(matrix_sdp="to alice", sip_sdp="to the phone"))


def test_the_lesser_call_id_survives() -> None:
    assert glare.survivor(MatrixCallId("b"), MatrixCallId("a")) == "a"
    assert glare.survivor(OUR_CALL, SORTS_LAST) == OUR_CALL


def locating() -> Call:
    call = scenes.incoming()
    run(call, ev.CallPermitted())
    return call


@pytest.mark.parametrize("begin", [locating, scenes.offering])
def test_our_invite_is_never_sent_when_the_user_was_faster(begin: Callable[[], Call]) -> None:
    call = begin()
    commands = run(call, scenes.crossing())
    assert scenes.kinds(commands) == [cmd.FollowMatrixCall, medcmd.WriteBothAnswers]
    assert run(call, medev.MatrixOfferReady(sdp="void")) == []
    assert finish(call) == [mxcmd.SendAnswer(sdp="to alice"), sipcmd.AcceptSip(sdp="to the phone")]
    assert call.matrix.call_id == THEIR_CALL


def test_our_ringing_call_gives_way_to_the_lesser_id() -> None:
    call = scenes.ringing()
    commands = run(call, scenes.crossing())
    assert commands[0] == mxcmd.SendHangup(reason=MatrixReason.REPLACED, other=other_call(OUR_CALL))
    assert only(commands, medcmd.WriteBothAnswers).matrix_sdp == "alice offer"
    assert scenes.kinds(finish(call)) == [mxcmd.SendAnswer, sipcmd.AcceptSip]
    assert call.state is State.CONNECTING


def test_a_greater_id_waits_for_the_client_to_answer_ours() -> None:
    call = scenes.ringing()
    assert scenes.kinds(run(call, scenes.crossing(SORTS_LAST))) == [cmd.FollowMatrixCall]
    commands = run(call, scenes.answer())
    assert only(commands, mxcmd.SendReject).other == other_call(SORTS_LAST)
    assert only(commands, mxcmd.SendReject).reason is MatrixReason.USER_BUSY
    assert only(commands, medcmd.WriteSipAnswer)


def test_a_client_without_glare_handling_gets_its_own_call_after_three_seconds() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing(SORTS_LAST), now=10.0)
    assert call.deadlines[Timer.GLARE] == 13.0
    commands = run(call, ev.TimerFired(timer=Timer.GLARE), now=13.0)
    assert scenes.kinds(commands) == [mxcmd.SendHangup, cmd.FollowMatrixCall, medcmd.WriteBothAnswers]
    assert call.matrix.call_id == SORTS_LAST


def test_a_client_that_gives_up_its_own_call_leaves_ours_ringing() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing(SORTS_LAST), scenes.hangup(SORTS_LAST, reason="replaced"))
    assert call.state is State.RINGING
    assert Timer.GLARE not in call.deadlines
    assert scenes.kinds(run(call, scenes.answer())) == [mxcmd.SendSelectAnswer, medcmd.WriteSipAnswer]


def test_a_client_that_replaces_ours_by_a_call_we_know_is_answered_at_once() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing(SORTS_LAST))
    commands = run(call, scenes.hangup(OUR_CALL, reason="replaced"))
    silence, *adoption = commands
    assert silence == mxcmd.SendSelectAnswer(selected_party=LAPTOP, other=other_call(OUR_CALL))
    assert scenes.kinds(adoption) == [cmd.FollowMatrixCall, medcmd.WriteBothAnswers]


def test_a_client_that_replaces_ours_by_a_call_we_do_not_know_yet_is_waited_for() -> None:
    call = scenes.ringing()
    silenced = run(call, scenes.hangup(OUR_CALL, reason="replaced"), now=10.0)
    assert silenced == [mxcmd.SendSelectAnswer(selected_party=LAPTOP, other=other_call(OUR_CALL))]
    assert call.next_deadline() == 15.0
    assert scenes.kinds(run(call, scenes.crossing())) == [cmd.FollowMatrixCall, medcmd.WriteBothAnswers]


def test_a_replacement_that_never_comes_ends_the_ringing() -> None:
    call = scenes.ringing()
    run(call, scenes.hangup(OUR_CALL, reason="replaced"))
    commands = run(call, ev.TimerFired(timer=Timer.EXPIRY), now=6.0)
    assert only(commands, sipcmd.RejectSip).status == 480
    assert not any(isinstance(command, mxcmd.SendHangup) for command in commands)


def test_the_candidates_of_the_users_own_call_are_kept_until_it_is_answered() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing(SORTS_LAST), scenes.candidates(LAPTOP, SORTS_LAST), scenes.candidates(LAPTOP))
    commands = run(call, ev.TimerFired(timer=Timer.GLARE))
    assert len(only(commands, medcmd.AddCandidates).candidates) == 1


def test_a_third_call_is_turned_down_as_busy() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing(SORTS_LAST))
    third = MatrixCallId("~~third")
    assert run(call, scenes.crossing(third)) == [
        mxcmd.SendReject(reason=MatrixReason.USER_BUSY, other=other_call(third))
    ]


@pytest.mark.parametrize("event", [scenes.crossing(OUR_CALL), scenes.crossing(user=MALLORY)])
def test_our_own_id_and_other_users_are_no_glare(event: mxev.CrossingInvite) -> None:
    call = scenes.ringing()
    assert run(call, event) == []
    assert call.state is State.RINGING


def test_events_of_the_call_that_was_given_up_mean_nothing() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing())
    assert run(call, scenes.answer(), scenes.reject(), scenes.hangup(OUR_CALL)) == []
    assert call.state is State.ADOPTING


def test_the_caller_can_give_up_while_the_calls_are_joined() -> None:
    call = scenes.ringing()
    run(call, scenes.crossing())
    commands = run(call, scenes.hangup(THEIR_CALL))
    assert only(commands, sipcmd.RejectSip).status == 487
    assert not any(isinstance(command, mxcmd.SendReject | mxcmd.SendHangup) for command in commands)


def test_the_phone_calling_the_user_who_dials_it_is_connected_to_that_call() -> None:
    call = scenes.dialling()
    commands = run(call, scenes.sip_crossing())
    assert commands[0] == sipcmd.CancelSip(dialog=DIALOG)
    assert only(commands, cmd.FollowDialog).dialog == OTHER_DIALOG
    assert only(commands, medcmd.WriteBothAnswers).fresh
    assert scenes.kinds(finish(call)) == [mxcmd.SendAnswer, sipcmd.AcceptSip]
    assert call.dialog == OTHER_DIALOG


def test_the_candidates_that_came_before_go_to_the_new_session() -> None:
    call = scenes.dialling()
    run(call, scenes.candidates(LAPTOP, THEIR_CALL))
    commands = run(call, scenes.sip_crossing())
    assert only(commands, medcmd.AddCandidates)


def test_calls_that_cross_in_two_rooms_are_each_ended_in_their_own() -> None:
    elsewhere = RoomId("!elsewhere:example.org")
    call = scenes.ringing()
    commands = run(call, scenes.crossing(room_id=elsewhere))
    assert only(commands, mxcmd.SendHangup).other == other_call(OUR_CALL, ROOM)
    assert call.matrix.room_id == elsewhere

    waiting = scenes.ringing()
    run(waiting, scenes.crossing(SORTS_LAST, room_id=elsewhere))
    commands = run(waiting, scenes.answer())
    assert only(commands, mxcmd.SendReject).other == other_call(SORTS_LAST, elsewhere)


def test_the_record_names_the_trunk_and_dialog_that_carried_the_call() -> None:
    call = scenes.dialling()
    run(call, scenes.sip_crossing())
    assert (call.trunk, call.sip_call_id) == ("pbx", "theirs")


def test_a_room_that_is_found_after_the_calls_were_joined_changes_nothing() -> None:
    call = locating()
    run(call, scenes.crossing())
    finish(call)
    assert run(call, mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=True)) == []
    assert call.illegal_events == 0
