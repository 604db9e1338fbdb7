"""A phone calls a Matrix user: what each side is told, in every way the call can go."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import MAX_BUFFERED_CANDIDATES, Call
from bridge.calls.state import State, Timer
from bridge.core.ids import PartyId
from bridge.core.verdict import MatrixReason, Verdict
from tests.calls import scenes
from tests.calls.scenes import ALICE, GHOST, LAPTOP, MALLORY, OUR_CALL, PHONE, ROOM, only, run


def test_the_phone_hears_ringing_only_when_the_homeserver_has_the_invite() -> None:
    call = scenes.offering()
    commands = run(call, medev.MatrixOfferReady(sdp="our offer"))
    assert scenes.kinds(commands) == [cmd.FollowMatrixCall, mxcmd.SendInvite]
    assert run(call, mxev.InviteDelivered()) == [sipcmd.RingSip()]
    assert run(call, mxev.InviteDelivered()) == []


def test_the_invite_lives_as_long_as_the_phone_rings() -> None:
    commands = run(scenes.offering(), medev.MatrixOfferReady(sdp="our offer"), now=10.0)
    assert only(commands, mxcmd.SendInvite).lifetime_ms == 80_000


def test_a_slow_homeserver_does_not_make_the_trunk_give_up_without_a_ringing_tone() -> None:
    call = scenes.offering()
    assert run(call, ev.TimerFired(timer=Timer.PROGRESS), now=4.0) == [sipcmd.RingSip()]


def test_a_user_who_is_not_in_the_room_yet_rings_on_joining() -> None:
    call = scenes.incoming()
    commands = run(call, ev.CallPermitted(), mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=False))
    assert scenes.kinds(commands) == [medcmd.TakeSipOffer, mxcmd.OpenPortal, sipcmd.RingSip]
    assert run(call, mxev.MemberJoined(user=MALLORY)) == []
    assert run(call, mxev.MemberJoined(user=ALICE)) == [medcmd.WriteMatrixOffer()]


def test_the_first_answer_is_selected_and_accepted() -> None:
    call = scenes.ringing()
    commands = run(call, scenes.answer())
    assert commands == [
        mxcmd.SendSelectAnswer(selected_party=LAPTOP),
        medcmd.WriteSipAnswer(matrix_sdp="alice answer", late_offer=False),
    ]
    assert run(call, medev.SipAnswerReady(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]
    run(call, medev.MediaConnected())
    assert call.state is State.CONNECTED


def test_the_second_devices_answer_and_hangup_mean_nothing() -> None:
    call = scenes.ringing()
    run(call, scenes.answer(LAPTOP), medev.SipAnswerReady(sdp="our answer"))
    assert run(call, scenes.answer(PHONE), scenes.hangup(OUR_CALL, party=PHONE), scenes.reject()) == []
    assert call.matrix.peer_party == LAPTOP


@pytest.mark.parametrize("party", [LAPTOP, PHONE])
def test_a_device_that_selects_an_answer_itself_does_not_end_the_call_that_we_placed(party: PartyId) -> None:
    """Nheko selects whatever answer it sees, also its own user's on another device."""
    call = scenes.ringing()
    run(call, scenes.answer(LAPTOP), medev.SipAnswerReady(sdp="our answer"))
    selected = mxev.AnswerSelected(matrix_call_id=OUR_CALL, user=ALICE, party=party, selected_party=LAPTOP)
    assert run(call, selected) == []
    assert call.state is State.CONNECTING


def test_an_answer_that_comes_before_the_homeserver_has_confirmed_our_invite_counts() -> None:
    """A federated client may be quicker than the response to our own request."""
    call = scenes.offering()
    run(call, medev.MatrixOfferReady(sdp="our offer"))
    commands = run(call, scenes.answer())
    assert only(commands, mxcmd.SendSelectAnswer).selected_party == LAPTOP
    run(call, mxev.InviteDelivered())
    assert run(call, medev.SipAnswerReady(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]


def test_a_client_may_hold_the_call_before_the_phone_has_our_answer() -> None:
    """It has been selected, and does not know what else is under way."""
    call = scenes.ringing()
    run(call, scenes.answer(LAPTOP))
    held = mxev.MatrixReoffered(matrix_call_id=OUR_CALL, user=ALICE, party=LAPTOP, sdp="held")
    assert run(call, held) == [medcmd.AnswerMatrixReoffer(matrix_sdp="held")]
    assert run(call, replace(held, party=PHONE)) == []
    assert run(call, medev.SipAnswerReady(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]
    answered = run(call, medev.MatrixReofferAnswered(sdp="our answer to it"))
    assert only(answered, mxcmd.SendNegotiateAnswer).sdp == "our answer to it"
    assert call.illegal_events == 0


def test_an_answer_by_somebody_else_is_ignored() -> None:
    call = scenes.ringing()
    assert run(call, scenes.answer(user=MALLORY)) == []
    assert call.state is State.RINGING


def test_an_answer_without_a_party_is_taken_and_nobody_is_selected() -> None:
    commands = run(scenes.ringing(), scenes.answer(None, version=0))
    assert scenes.kinds(commands) == [medcmd.WriteSipAnswer]


def test_only_the_selected_devices_candidates_are_used_and_only_after_its_answer() -> None:
    call = scenes.ringing()
    assert run(call, scenes.candidates(LAPTOP), scenes.candidates(PHONE), scenes.candidates(PHONE)) == []
    commands = run(call, scenes.answer(LAPTOP))
    assert scenes.kinds(commands)[-1] is medcmd.AddCandidates
    assert len(only(commands, medcmd.AddCandidates).candidates) == 1
    assert run(call, scenes.candidates(PHONE)) == []


def test_candidates_of_devices_that_never_answer_are_bounded() -> None:
    call = scenes.ringing()
    for _ in range(3 * MAX_BUFFERED_CANDIDATES):
        run(call, scenes.candidates(PHONE))
    assert sum(map(len, call.buffered.values())) == MAX_BUFFERED_CANDIDATES


@pytest.mark.parametrize(
    ("reason", "status"), [(None, 603), ("user_hangup", 603), ("user_busy", 486), ("unheard_of", 603)]
)
def test_declining_tells_the_phone_and_silences_the_other_devices(reason: str | None, status: int) -> None:
    commands = run(scenes.ringing(), scenes.reject(reason))
    assert commands[0] == mxcmd.SendSelectAnswer(selected_party=PHONE)
    assert only(commands, sipcmd.RejectSip).status == status
    assert not any(isinstance(command, mxcmd.SendHangup) for command in commands)


def test_a_stranger_cannot_decline() -> None:
    assert run(scenes.ringing(), scenes.reject(user=MALLORY)) == []


@pytest.mark.parametrize("reason", ["ice_failed", "user_media_failed", "unknown_error", "invite_timeout"])
def test_one_broken_device_does_not_stop_the_others(reason: str) -> None:
    call = scenes.ringing()
    assert run(call, scenes.hangup(OUR_CALL, reason=reason)) == []
    assert call.state is State.RINGING


@pytest.mark.parametrize("reason", [None, "user_hangup", "user_busy"])
def test_an_old_clients_hangup_before_the_answer_declines(reason: str | None) -> None:
    commands = run(scenes.ringing(), scenes.hangup(OUR_CALL, reason=reason))
    assert only(commands, sipcmd.RejectSip).status == (486 if reason == "user_busy" else 603)
    assert only(commands, mxcmd.SendSelectAnswer).selected_party == LAPTOP  # others fall silent


def test_the_phone_giving_up_stops_the_ringing() -> None:
    commands = run(scenes.ringing(), sipev.SipCancelled())
    assert scenes.kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.USER_HANGUP


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_phone_giving_up_while_our_200_waits_for_its_prack_ends_the_call(connected: bool, elsewhere: bool) -> None:
    """RFC 3262 §3: where ringing was sent reliably, the user agent keeps the 200 back until the PRACK has come."""
    call = scenes.ringing()
    run(call, scenes.answer(), medev.SipAnswerReady(sdp="our answer"), *([medev.MediaConnected()] if connected else []))
    commands = run(call, sipev.SipCancelled(answered_elsewhere=elsewhere), now=9.0)
    assert scenes.kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict == (outcomes.CALLER_GAVE_UP_ELSEWHERE if elsewhere else outcomes.CANCELLED)
    assert (call.answered, call.talk_s, call.illegal_events) == (False, 0.0, 0), "the phone has never talked"


LOST = medev.MediaLost(reason=MatrixReason.UNKNOWN_ERROR)


@pytest.mark.parametrize("begin", [scenes.offering, scenes.ringing])
def test_a_call_whose_audio_is_lost_does_not_ring_on_to_fail_when_it_is_answered(begin: Callable[[], Call]) -> None:
    call = begin()
    assert only(run(call, LOST), sipcmd.RejectSip).status == outcomes.MEDIA_FAILED.sip_status
    assert (call.verdict, call.illegal_events) == (outcomes.MEDIA_FAILED, 0)


def test_a_call_taken_on_another_phone_is_not_shown_as_missed() -> None:
    commands = run(scenes.ringing(), sipev.SipCancelled(answered_elsewhere=True))
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.ANSWERED_ELSEWHERE


def test_the_phone_giving_up_while_the_room_is_made_sends_nothing_to_matrix() -> None:
    call = scenes.incoming()
    run(call, ev.CallPermitted())
    assert scenes.kinds(run(call, sipev.SipCancelled())) == [medcmd.CloseMedia, cmd.FinishCall]


def test_nobody_answering_ends_both_sides_at_the_ring_limit() -> None:
    call = scenes.ringing()
    commands = run(call, ev.TimerFired(timer=Timer.EXPIRY), now=90.0)
    assert only(commands, sipcmd.RejectSip).status == 480
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.INVITE_TIMEOUT


def test_an_answer_that_cannot_be_used_ends_both_sides() -> None:
    call = scenes.ringing()
    run(call, scenes.answer())
    commands = run(call, medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC))
    assert only(commands, sipcmd.RejectSip).status == 488
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.UNKNOWN_ERROR


def test_a_homeserver_that_cannot_be_reached_is_a_503_for_the_phone() -> None:
    call = scenes.incoming()
    run(call, ev.CallPermitted())
    commands = run(call, ev.CallRefused(verdict=outcomes.MATRIX_UNREACHABLE))
    assert only(commands, sipcmd.RejectSip).status == 503


def test_a_late_offer_is_made_in_the_200_and_answered_in_the_ack() -> None:
    call = scenes.ringing(sdp=None)
    assert only(run(call, scenes.answer()), medcmd.WriteSipAnswer).late_offer
    run(call, medev.SipAnswerReady(sdp="our offer"))
    assert run(call, sipev.SipConfirmed(sdp="phone answer")) == [medcmd.TakeSipAnswer(sip_sdp="phone answer")]


def test_a_late_offer_that_the_ack_does_not_answer_ends_the_call() -> None:
    call = scenes.ringing(sdp=None)
    run(call, scenes.answer(), medev.SipAnswerReady(sdp="our offer"))
    commands = run(call, sipev.SipConfirmed())
    assert only(commands, sipcmd.ByeSip)
    assert only(commands, mxcmd.SendHangup)


def test_an_ack_that_never_comes_is_the_trunks_fault() -> None:
    call = scenes.ringing()
    run(call, scenes.answer(), medev.SipAnswerReady(sdp="our answer"), sipev.SipEnded(by_peer=False))
    assert call.verdict is outcomes.NEVER_ACKNOWLEDGED


def test_the_user_leaving_the_room_while_it_rings_turns_the_phone_away() -> None:
    commands = run(scenes.ringing(), mxev.MemberLeft(user=ALICE))
    assert only(commands, sipcmd.RejectSip).status == 480
    assert not any(isinstance(command, mxcmd.SendHangup) for command in commands)


@pytest.mark.parametrize(("verdict", "sent"), [(outcomes.MATRIX_REFUSED, False), (outcomes.MATRIX_UNREACHABLE, True)])
def test_an_invite_that_may_have_arrived_is_hung_up_and_one_that_was_refused_is_not(
    verdict: Verdict, sent: bool
) -> None:
    commands = run(scenes.ringing(), ev.CallRefused(verdict=verdict))
    assert only(commands, sipcmd.RejectSip).status == verdict.sip_status
    assert any(isinstance(command, mxcmd.SendHangup) for command in commands) is sent


def test_a_call_that_never_rang_is_not_explained_in_the_room() -> None:
    call = scenes.offering()
    commands = run(call, medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC))
    assert scenes.kinds(commands) == [sipcmd.RejectSip, medcmd.CloseMedia, cmd.FinishCall]


def test_audio_lost_before_the_phone_is_told_of_the_answer_ends_the_call() -> None:
    call = scenes.ringing()
    run(call, scenes.answer())
    commands = run(call, medev.MediaLost(reason=MatrixReason.ICE_FAILED))
    assert only(commands, sipcmd.RejectSip).status == 480


def test_a_call_that_the_phone_was_never_connected_to_has_no_answer_on_record() -> None:
    call = scenes.ringing()
    run(call, scenes.answer(), sipev.SipCancelled())
    assert call.at.answered is None


def test_an_offer_that_cannot_be_used_is_refused_before_anybody_is_invited() -> None:
    call = scenes.incoming()
    commands = run(call, ev.CallPermitted())
    assert commands == [medcmd.TakeSipOffer(sip_sdp="phone offer"), mxcmd.OpenPortal()]
    assert only(run(call, medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC)), sipcmd.RejectSip).status == 488


def test_who_finds_a_room_but_no_call_in_it_is_told_that_there_was_one() -> None:
    for end in (sipev.SipCancelled(answered_elsewhere=False), ev.TimerFired(timer=Timer.EXPIRY)):
        call = scenes.incoming()
        run(call, ev.CallPermitted(), mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=False))
        assert only(run(call, end), mxcmd.SendNotice).text == outcomes.MISSED_CALL


@pytest.mark.parametrize(
    "end",
    [
        sipev.SipCancelled(),
        ev.TimerFired(timer=Timer.EXPIRY),
        ev.CallRefused(verdict=outcomes.MATRIX_UNREACHABLE),
    ],
)
def test_a_call_whose_invite_no_homeserver_took_is_told_of_as_missed(end: ev.Event) -> None:
    call = scenes.offering()
    run(call, medev.MatrixOfferReady(sdp="our offer"))
    commands = run(call, end)
    assert only(commands, mxcmd.SendNotice).text == outcomes.MISSED_CALL
    assert mxcmd.SendHangup in scenes.kinds(commands)


def test_a_call_that_others_took_or_that_the_clients_show_is_not_explained() -> None:
    call = scenes.incoming()
    run(call, ev.CallPermitted(), mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=False))
    assert mxcmd.SendNotice not in scenes.kinds(run(call, sipev.SipCancelled(answered_elsewhere=True)))
    assert mxcmd.SendNotice not in scenes.kinds(run(scenes.ringing(), sipev.SipCancelled(answered_elsewhere=False)))
