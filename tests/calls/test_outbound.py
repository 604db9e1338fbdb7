"""A Matrix user calls a phone: what each side is told, in every way the call can go."""

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
from bridge.calls.state import EndedBy, State, Timer
from bridge.core.verdict import MatrixReason, Result, Verdict
from tests.calls import scenes
from tests.calls.scenes import ALICE, BRIDGE, LAPTOP, MALLORY, PHONE, THEIR_CALL, only, run


def test_a_permitted_call_is_dialled_with_the_offer_of_the_media_session() -> None:
    call = scenes.outgoing()
    assert run(call, ev.CallPermitted()) == [medcmd.WriteSipOffer(matrix_sdp="alice offer")]
    assert run(call, medev.SipOfferReady(sdp="our offer")) == [sipcmd.PlaceSipCall(sdp="our offer")]
    assert call.state is State.DIALLING


def test_ringing_sends_nothing_to_matrix_because_there_is_no_event_for_it() -> None:
    call = scenes.dialling()
    assert run(call, sipev.SipProgress(status=180), now=2.5) == []
    assert call.at.ringing == 2.5


def test_the_answer_of_the_phone_becomes_the_answer_to_the_caller() -> None:
    call = scenes.dialling()
    assert run(call, sipev.SipAnswered(sdp="phone answer")) == [medcmd.WriteMatrixAnswer(sip_sdp="phone answer")]
    assert run(call, medev.MatrixAnswerReady(sdp="our answer")) == [mxcmd.SendAnswer(sdp="our answer")]
    run(call, medev.MediaConnected())
    assert call.state is State.CONNECTED


def test_an_answer_without_any_description_ends_the_call_on_both_sides() -> None:
    commands = run(scenes.dialling(), sipev.SipAnswered())
    assert only(commands, sipcmd.ByeSip)
    assert only(commands, mxcmd.SendReject).reason is MatrixReason.UNKNOWN_ERROR


@pytest.mark.parametrize(
    ("status", "reason", "result"),
    [
        (486, MatrixReason.USER_BUSY, Result.CLIENT),
        (600, MatrixReason.USER_BUSY, Result.CLIENT),
        (603, None, Result.CLIENT),
        (607, None, Result.CLIENT),
        (608, None, Result.CLIENT),
        (403, None, Result.UPSTREAM),
        (408, MatrixReason.INVITE_TIMEOUT, Result.CLIENT),
        (480, MatrixReason.INVITE_TIMEOUT, Result.CLIENT),
        (487, MatrixReason.INVITE_TIMEOUT, Result.CLIENT),
        (404, MatrixReason.UNKNOWN_ERROR, Result.CLIENT),
        (410, MatrixReason.UNKNOWN_ERROR, Result.CLIENT),
        (484, MatrixReason.UNKNOWN_ERROR, Result.CLIENT),
        (604, MatrixReason.UNKNOWN_ERROR, Result.CLIENT),
        (401, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (407, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (488, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (500, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (503, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (606, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
        (302, MatrixReason.UNKNOWN_ERROR, Result.UPSTREAM),
    ],
)
def test_every_failure_of_the_phone_is_a_reject_with_the_reason_that_clients_know(
    status: int, reason: MatrixReason | None, result: Result
) -> None:
    call = scenes.dialling()
    commands = run(call, sipev.SipFailed(status=status))
    assert only(commands, mxcmd.SendReject).reason is reason
    assert not any(isinstance(command, mxcmd.SendHangup | sipcmd.CancelSip | sipcmd.ByeSip) for command in commands)
    assert call.verdict is not None
    assert call.verdict.result is result
    assert call.ended_by is EndedBy.SIP


def test_an_unknown_number_is_explained_in_the_room() -> None:
    commands = run(scenes.dialling(), sipev.SipFailed(status=404))
    assert "not in service" in only(commands, mxcmd.SendNotice).text


def test_a_number_that_moved_is_told_with_its_new_one() -> None:
    call = scenes.dialling()
    commands = run(call, sipev.SipFailed(status=302, redirected_to="+15550111"))
    assert "+15550111" in only(commands, mxcmd.SendNotice).text
    assert (call.verdict and call.verdict.reason, call.peer_status) == ("redirected", 302)


def test_a_trunk_that_does_not_answer_at_all_is_not_mistaken_for_a_phone_that_nobody_picks_up() -> None:
    call = scenes.dialling()
    run(call, sipev.SipFailed(status=408, local=True))
    assert call.verdict is outcomes.TRUNK_UNREACHABLE


@pytest.mark.parametrize("reason", [None, "user_hangup", "invite_timeout", "something new"])
def test_the_caller_hanging_up_before_the_answer_cancels_the_invite_and_sends_nothing_back(reason: str | None) -> None:
    commands = run(scenes.dialling(), scenes.hangup(reason=reason))
    assert scenes.kinds(commands) == [sipcmd.CancelSip, medcmd.CloseMedia, cmd.FinishCall]


def test_the_caller_hanging_up_while_the_offer_is_written_dials_nobody() -> None:
    call = scenes.outgoing()
    run(call, ev.CallPermitted(), scenes.hangup())
    assert run(call, medev.SipOfferReady(sdp="our offer")) == []


def test_hanging_up_after_the_answer_sends_bye() -> None:
    call = scenes.talking()
    commands = run(call, scenes.hangup(reason="user_hangup"))
    assert scenes.kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict is outcomes.COMPLETED


def test_the_phone_hanging_up_sends_exactly_one_hangup_with_a_reason() -> None:
    commands = run(scenes.talking(), sipev.SipEnded())
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.USER_HANGUP
    assert scenes.kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]


def test_only_the_device_that_called_can_hang_up() -> None:
    call = scenes.talking()
    assert run(call, scenes.hangup(party=PHONE), scenes.hangup(user=MALLORY)) == []
    assert not call.ended


def test_version_0_knows_no_devices() -> None:
    call = scenes.dialling(version=0)
    run(call, scenes.hangup(party=None))
    assert call.ended


def test_an_invite_that_runs_out_is_cancelled_and_rejected_by_us_because_some_clients_stay_silent() -> None:
    call = scenes.dialling(remaining_s=30)
    assert call.next_deadline() == pytest.approx(29.5)
    commands = run(call, ev.TimerFired(timer=Timer.EXPIRY), now=29.5)
    assert only(commands, sipcmd.CancelSip)
    assert only(commands, mxcmd.SendReject).reason is MatrixReason.INVITE_TIMEOUT


def test_a_connected_call_has_no_deadline_left() -> None:
    assert scenes.talking().next_deadline() is None


def test_a_phone_does_not_ring_on_for_a_call_whose_audio_is_lost() -> None:
    call = scenes.dialling()
    commands = run(call, medev.MediaLost(reason=MatrixReason.UNKNOWN_ERROR))
    assert scenes.kinds(commands)[:2] == [sipcmd.CancelSip, mxcmd.SendReject]
    assert (call.verdict, call.illegal_events) == (outcomes.MEDIA_FAILED, 0)


def test_a_media_session_that_says_nothing_cannot_hold_a_call_for_ever() -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"), now=10.0)
    assert call.next_deadline() == 40.0
    commands = run(call, ev.TimerFired(timer=Timer.CONNECT), now=40.0)
    assert only(commands, sipcmd.ByeSip)
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.ICE_FAILED


def test_audio_that_is_quicker_than_signalling_counts() -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MediaConnected(), medev.MatrixAnswerReady(sdp="our answer"))
    assert call.state is State.CONNECTED
    assert call.next_deadline() is None


def test_the_record_keeps_what_the_trunk_said() -> None:
    call = scenes.dialling()
    run(call, sipev.SipFailed(status=410, q850=22))
    assert (call.peer_status, call.peer_q850) == (410, 22)


def test_a_number_that_cannot_be_written_as_an_address_is_not_the_trunks_fault() -> None:
    call = scenes.dialling()
    run(call, sipev.SipFailed(status=484, local=True))
    assert call.verdict is outcomes.NOT_IN_SERVICE
    assert call.peer_status is None


def test_a_refused_call_is_rejected_with_a_notice_and_never_reaches_the_phone() -> None:
    verdict = Verdict(result=Result.POLICY, reason="not_permitted", user_text="No.")
    commands = run(scenes.outgoing(), ev.CallRefused(verdict=verdict))
    assert scenes.kinds(commands) == [mxcmd.SendReject, mxcmd.SendNotice, medcmd.CloseMedia, cmd.FinishCall]
    assert only(commands, mxcmd.SendReject).reason is None


def test_an_invite_from_a_backlog_waits_for_the_hangup_that_may_follow() -> None:
    call = scenes.outgoing()
    assert run(call, ev.CallPermitted(hold_s=1.0)) == []
    commands = run(call, scenes.hangup())
    assert scenes.kinds(commands) == [medcmd.CloseMedia, cmd.FinishCall]


def test_an_invite_from_a_backlog_is_dialled_when_no_hangup_follows() -> None:
    call = scenes.outgoing()
    run(call, ev.CallPermitted(hold_s=1.0), scenes.candidates(LAPTOP, THEIR_CALL))
    commands = run(call, ev.TimerFired(timer=Timer.BACKLOG), now=2.0)
    assert scenes.kinds(commands) == [medcmd.WriteSipOffer, medcmd.AddCandidates]


def test_selecting_another_answer_hangs_up_the_phone_and_says_nothing() -> None:
    selected = mxev.AnswerSelected(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, selected_party=PHONE)
    commands = run(scenes.talking(), selected)
    assert scenes.kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]


def test_a_device_that_did_not_call_cannot_select() -> None:
    call = scenes.talking()
    selected = mxev.AnswerSelected(matrix_call_id=THEIR_CALL, user=ALICE, party=PHONE, selected_party=PHONE)
    assert run(call, selected) == []
    assert call.state is State.CONNECTED


def test_selecting_our_answer_changes_nothing() -> None:
    call = scenes.talking()
    assert (
        run(call, mxev.AnswerSelected(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, selected_party=BRIDGE)) == []
    )
    assert call.state is State.CONNECTED


@pytest.mark.parametrize("reason", [MatrixReason.ICE_FAILED, MatrixReason.ICE_TIMEOUT])
def test_lost_audio_ends_the_call_on_both_sides(reason: MatrixReason) -> None:
    commands = run(scenes.talking(), medev.MediaLost(reason=reason))
    assert only(commands, sipcmd.ByeSip)
    assert only(commands, mxcmd.SendHangup).reason is reason


def test_a_client_that_closed_its_audio_has_hung_up_though_nothing_was_heard_of_it() -> None:
    call = scenes.talking()
    commands = run(call, medev.MediaLost(reason=MatrixReason.USER_HANGUP))
    assert only(commands, sipcmd.ByeSip)
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.USER_HANGUP
    assert (call.verdict, call.ended_by) == (outcomes.COMPLETED, EndedBy.MATRIX)


def test_leaving_the_room_is_hanging_up() -> None:
    commands = run(scenes.talking(), mxev.MemberLeft(user=ALICE))
    assert scenes.kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]


def test_somebody_else_leaving_the_room_is_not() -> None:
    assert run(scenes.talking(), mxev.MemberLeft(user=MALLORY)) == []


def test_a_reinvite_is_answered_by_the_media_session() -> None:
    call = scenes.talking()
    assert run(call, sipev.SipReoffered(sdp="hold")) == [medcmd.AnswerReoffer(sip_sdp="hold")]
    assert run(call, medev.ReofferAnswered(sdp="held")) == [sipcmd.AcceptSip(sdp="held")]


def test_a_reinvite_that_cannot_be_met_leaves_the_call_as_it_was() -> None:
    call = scenes.talking()
    commands = run(call, sipev.SipReoffered(sdp="x"), medev.ReofferRefused(verdict=outcomes.NO_COMMON_CODEC))
    assert only(commands, sipcmd.RejectSip).status == 488
    assert call.state is State.CONNECTED


def test_a_phone_that_moves_before_it_answers_is_followed() -> None:
    call = scenes.dialling()
    assert run(call, sipev.SipReoffered(sdp="moved")) == [medcmd.AnswerReoffer(sip_sdp="moved")]
    assert run(call, medev.ReofferAnswered(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]
    assert run(call, sipev.SipAnswered(sdp="moved")) == [medcmd.WriteMatrixAnswer(sip_sdp=None)]  # it is taken already


@pytest.mark.parametrize("answered", [False, True])
def test_a_phone_that_wants_what_cannot_be_met_before_it_answers_is_told_so(answered: bool) -> None:
    call = scenes.dialling()
    run(call, sipev.SipReoffered(sdp="x"), *([sipev.SipAnswered(sdp="phone answer")] if answered else []))
    commands = run(call, medev.ReofferRefused(verdict=outcomes.NO_COMMON_CODEC))
    assert only(commands, sipcmd.RejectSip).status == 488
    assert not call.ended


def test_a_description_that_cannot_be_used_rejects_the_call_before_anything_rings() -> None:
    call = scenes.outgoing()
    run(call, ev.CallPermitted())
    commands = run(call, medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC))
    assert not any(isinstance(command, sipcmd.PlaceSipCall | sipcmd.CancelSip) for command in commands)
    assert only(commands, mxcmd.SendReject)


def test_nothing_happens_to_a_call_that_is_over() -> None:
    call = scenes.talking()
    run(call, scenes.hangup())
    assert run(call, sipev.SipEnded(), scenes.hangup(), medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT)) == []
    assert call.illegal_events == 0


def test_hold_by_the_client_is_answered_at_once_and_told_to_the_phone() -> None:
    call = scenes.talking()
    offer = mxev.MatrixReoffered(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, sdp="hold")
    assert run(call, offer) == [medcmd.AnswerMatrixReoffer(matrix_sdp="hold")]
    assert run(call, medev.MatrixReofferAnswered(sdp="held")) == [
        mxcmd.SendNegotiateAnswer(sdp="held"),
        medcmd.WriteSipReoffer(),
    ]
    assert run(call, medev.SipReofferReady(sdp="our hold")) == [sipcmd.ReofferSip(sdp="our hold")]
    assert run(call, sipev.SipReofferAnswered(sdp="their answer")) == [medcmd.TakeSipAnswer(sip_sdp="their answer")]


def test_a_call_that_is_up_is_written_down_without_the_keys_of_its_audio() -> None:
    call = scenes.dialling()
    run(call, sipev.SipProgress(status=183), sipev.SipAnswered(sdp="a=crypto"))
    run(call, medev.MatrixAnswerReady(sdp="our answer"))
    assert "a=crypto" not in snapshot.dump(call)


def test_a_phone_that_refuses_hold_keeps_the_call_as_it_was() -> None:
    call = scenes.talking()
    assert run(call, sipev.SipReofferRefused()) == []
    assert call.state is State.CONNECTED


def test_a_session_that_nobody_confirms_any_more_is_told_apart_from_a_hangup() -> None:
    call = scenes.talking()
    commands = run(call, sipev.SipEnded(by_peer=False, expired=True))
    assert only(commands, cmd.FinishCall).verdict.reason == "session_expired"
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.UNKNOWN_ERROR


def test_who_really_answered_is_told_to_the_caller_after_the_answer() -> None:
    call = scenes.dialling()
    assert run(call, sipev.IdentityChanged(number="+15550111", name="Carol")) == []
    run(call, sipev.SipAnswered(sdp="phone answer"))
    assert run(call, medev.MatrixAnswerReady(sdp="our answer")) == [
        mxcmd.SendAnswer(sdp="our answer"),
        mxcmd.SendIdentity(number="+15550111", name="Carol"),
    ]


def test_somebody_else_at_the_phone_is_told_at_once_in_a_call_that_is_up() -> None:
    call = scenes.talking()
    changed = sipev.IdentityChanged(number="", name="Carol")
    assert run(call, changed) == [mxcmd.SendIdentity(number="", name="Carol")]
    assert call.connected_number == ""


def test_keys_by_signalling_go_both_ways() -> None:
    call = scenes.talking()
    pressed = run(call, medev.ClientKeyPressed(digit="5", duration_ms=120))
    assert pressed == [sipcmd.PressSipKey(digit="5", duration_ms=120)]
    heard = run(call, sipev.PhoneKeysPressed(digits="12", duration_ms=160))
    assert heard == [medcmd.PlayKeys(digits="12", duration_ms=160)]
    assert "12" not in repr((pressed, heard)).replace("duration_ms=120", "")


def test_a_change_that_cannot_be_met_or_comes_from_another_device_leaves_the_call_as_it_is() -> None:
    call = scenes.talking()
    offer = mxev.MatrixReoffered(matrix_call_id=THEIR_CALL, user=ALICE, party=PHONE, sdp="hold")
    assert run(call, offer, medev.MatrixReofferRefused()) == []
    assert call.state is State.CONNECTED


@pytest.mark.parametrize("by_phone", [True, False])
@pytest.mark.parametrize(("waited_s", "result"), [(0.5, Result.SUCCESS), (8.0, Result.UPSTREAM)])
def test_a_call_that_is_hung_up_before_its_audio_came_up_says_so(
    waited_s: float, result: Result, by_phone: bool
) -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"), now=2.0)
    event = sipev.SipEnded() if by_phone else scenes.hangup(reason="user_hangup")
    commands = run(call, event, now=2.0 + waited_s)
    verdict = only(commands, cmd.FinishCall).verdict
    assert (verdict.reason, verdict.result) == ("no_media", result)
    notices = [command.text for command in commands if isinstance(command, mxcmd.SendNotice)]
    assert notices == (["The call was hung up before any sound came through."] if by_phone and waited_s > 3 else [])
