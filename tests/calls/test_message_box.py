"""Nobody takes a phone's call, and the phone leaves a message: what each side is told, in every way that can go."""

from collections.abc import Callable

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.message import MessageBox
from bridge.calls.state import EndedBy, State, Timer
from bridge.core.presence import PresenceState, RingWhen
from bridge.core.verdict import MatrixReason, Verdict
from tests.calls import scenes
from tests.calls.scenes import GHOST, OTHER_DIALOG, OUR_CALL, ROOM, only, run
from tests.calls.test_transfer import PERMITTED, replacement

REASONS = ("no_answer", "busy", "declined", "not_there", "homeserver_unreachable")
BOX = MessageBox(reasons=REASONS, longest_s=120.0, limit_s=150.0)
EXPIRED = ev.TimerFired(timer=Timer.EXPIRY)
LEFT = mev.MessageRecorded(heard=True)


def boxed(call: Call) -> Call:
    call.message_box = BOX
    return call


def attending(sdp: str | None = "phone offer") -> Call:
    """Alice's devices rang for nothing."""
    call = boxed(scenes.ringing(sdp))
    run(call, EXPIRED)
    return call


def greeted() -> Call:
    """The phone hears the greeting."""
    call = attending()
    run(call, mev.OwnAnswerReady(sdp="our answer"), now=10.0)
    return call


def recording() -> Call:
    call = greeted()
    run(call, mev.SoundPlayed())
    return call


def test_after_ringing_for_nothing_the_devices_fall_silent_and_the_phone_is_answered() -> None:
    commands = run(boxed(scenes.ringing()), EXPIRED)
    assert commands == [mxcmd.SendHangup(reason=MatrixReason.INVITE_TIMEOUT), mcmd.WriteOwnAnswer(late_offer=False)]


def test_the_phone_hears_the_greeting_and_then_is_heard() -> None:
    call = attending()
    commands = run(call, mev.OwnAnswerReady(sdp="our answer"))
    assert commands == [sipcmd.AcceptSip(sdp="our answer"), mcmd.PlayGreeting()]
    assert run(call, mev.SoundPlayed()) == [mcmd.RecordMessage(longest_s=120.0)]
    assert run(call, mev.SoundPlayed()) == []


@pytest.mark.parametrize("begin", [greeted, recording])
def test_a_phone_that_gives_up_before_it_has_our_200_leaves_nothing(begin: Callable[[], Call]) -> None:
    call = begin()
    assert scenes.kinds(run(call, sipev.SipCancelled())) == [medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.talk_s) == (outcomes.CANCELLED, 0.0)


@pytest.mark.parametrize("begin", [greeted, recording])
def test_a_phone_that_leaves_a_message_is_not_moved_and_not_replaced(begin: Callable[[], Call]) -> None:
    call = begin()
    assert run(call, PERMITTED) == [sipcmd.RefuseReferral(status=403)]
    assert run(call, tev.TransferForbidden(status=404)) == [sipcmd.RefuseReferral(status=403)]
    assert run(call, replacement()) == [sipcmd.RejectSip(status=403, dialog=OTHER_DIALOG)]
    assert call.illegal_events == 0


def test_a_message_that_was_left_is_a_success_and_the_phone_is_let_go() -> None:
    call = recording()
    commands = run(call, LEFT)
    assert scenes.kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by) == (outcomes.MESSAGE_LEFT, EndedBy.BRIDGE)


def test_silence_is_no_message() -> None:
    call = recording()
    run(call, mev.MessageRecorded(heard=False))
    assert call.verdict == outcomes.NO_ANSWER


def test_a_phone_that_hangs_up_has_its_message_finished_first() -> None:
    call = recording()
    assert run(call, sipev.SipEnded()) == [mcmd.StopRecording()]
    assert not call.ended
    assert scenes.kinds(run(call, LEFT)) == [medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by) == (outcomes.MESSAGE_LEFT, EndedBy.SIP)


def test_who_hangs_up_in_the_greeting_has_missed_the_user() -> None:
    call = greeted()
    assert scenes.kinds(run(call, sipev.SipEnded())) == [medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict == outcomes.NO_ANSWER


def test_the_hash_key_skips_the_greeting_and_ends_the_message() -> None:
    call = greeted()
    hash_key = mev.PhoneKeyPressed(digit="#")
    assert run(call, mev.PhoneKeyPressed(digit="1")) == []
    assert run(call, hash_key) == [mcmd.StopSound(), mcmd.RecordMessage(longest_s=120.0)]
    assert run(call, hash_key) == [mcmd.StopRecording()]
    assert run(call, hash_key) == []
    run(call, LEFT)
    assert call.verdict == outcomes.MESSAGE_LEFT


def test_a_recording_that_never_becomes_whole_does_not_keep_the_line_open() -> None:
    call = recording()
    assert run(call, ev.TimerFired(timer=Timer.MESSAGE), now=160.0) == [mcmd.StopRecording()]
    assert call.deadlines[Timer.MESSAGE] == 165.0
    assert sipcmd.ByeSip in scenes.kinds(run(call, ev.TimerFired(timer=Timer.MESSAGE), now=165.0))
    assert call.verdict == outcomes.NO_ANSWER


def test_all_of_it_has_an_end() -> None:
    assert greeted().deadlines == {Timer.MESSAGE: 160.0}


@pytest.mark.parametrize("event", [medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT), sipev.SipEnded()])
def test_what_was_said_before_the_line_broke_is_kept(event: ev.Event) -> None:
    call = recording()
    assert run(call, event) == [mcmd.StopRecording()]


@pytest.mark.parametrize(
    "verdict", [outcomes.BUSY, outcomes.NOT_THERE, outcomes.MATRIX_UNREACHABLE], ids=lambda verdict: verdict.reason
)
def test_a_call_that_rings_nobody_is_answered_at_once(verdict: Verdict) -> None:
    call = boxed(scenes.incoming())
    commands = run(call, ev.CallRefused(verdict=verdict))
    assert commands == [medcmd.TakeSipOffer(sip_sdp="phone offer"), mcmd.WriteOwnAnswer(late_offer=False)]
    assert call.state is State.ATTENDING


def test_a_user_who_is_away_is_not_rung_first() -> None:
    call = boxed(scenes.incoming())
    call.ring_when = RingWhen.ONLINE
    run(call, ev.CallPermitted())
    assert run(call, mxev.PresenceKnown(state=PresenceState.OFFLINE)) == [mcmd.WriteOwnAnswer(late_offer=False)]


def test_a_declined_call_is_selected_like_an_answer_and_then_attended() -> None:
    commands = run(boxed(scenes.ringing()), scenes.reject())
    assert scenes.kinds(commands) == [mxcmd.SendSelectAnswer, mcmd.WriteOwnAnswer]


def test_a_homeserver_that_goes_away_while_the_room_is_sought_loses_no_message() -> None:
    call = boxed(scenes.incoming())
    run(call, ev.CallPermitted())
    assert run(call, ev.CallRefused(verdict=outcomes.MATRIX_UNREACHABLE)) == [mcmd.WriteOwnAnswer(late_offer=False)]


def test_reasons_that_are_not_wanted_end_the_call_as_ever() -> None:
    call = scenes.ringing()
    call.message_box = MessageBox(reasons=("busy",), longest_s=120.0, limit_s=150.0)
    commands = run(call, EXPIRED)
    assert only(commands, sipcmd.RejectSip).status == 480
    assert call.ended


def test_a_call_that_is_forwarded_is_not_attended() -> None:
    call = boxed(scenes.incoming())
    call.forward_to = "+15550122"
    run(call, ev.CallRefused(verdict=outcomes.BUSY))
    assert call.ended


def test_a_caller_who_gives_up_before_our_answer_has_left_nothing() -> None:
    call = attending()
    assert scenes.kinds(run(call, sipev.SipCancelled())) == [medcmd.CloseMedia, cmd.FinishCall]
    assert call.verdict == outcomes.CANCELLED


def test_without_an_answer_of_ours_the_phone_hears_what_it_would_have_heard() -> None:
    call = attending()
    commands = run(call, medev.MediaRefused(verdict=outcomes.INTERNAL_ERROR))
    assert only(commands, sipcmd.RejectSip).status == outcomes.NO_ANSWER.sip_status


def test_a_phone_that_finds_too_many_others_leaving_messages_is_recorded_as_such() -> None:
    call = attending()
    commands = run(call, medev.MediaRefused(verdict=outcomes.attendants_busy(outcomes.NO_ANSWER)))
    assert only(commands, sipcmd.RejectSip).status == outcomes.NO_ANSWER.sip_status
    assert call.verdict is not None
    assert call.verdict.reason == "attendants_busy"


def test_an_invite_without_an_offer_is_offered_our_own() -> None:
    call = boxed(scenes.ringing(None))
    assert only(run(call, EXPIRED), mcmd.WriteOwnAnswer).late_offer
    run(call, mev.OwnAnswerReady(sdp="our offer"))
    assert run(call, sipev.SipConfirmed(sdp="phone answer")) == [medcmd.TakeSipAnswer(sip_sdp="phone answer")]


@pytest.mark.parametrize("step", [attending, greeted, recording])
def test_what_devices_still_say_means_nothing(step: object) -> None:
    call = step()  # type: ignore[operator]
    late = (
        *(scenes.answer(), scenes.reject(), scenes.hangup(OUR_CALL), scenes.candidates(scenes.LAPTOP)),
        *(mxev.InviteDelivered(), mxev.MemberLeft(user=scenes.ALICE), mxev.MemberJoined(user=scenes.ALICE)),
        *(mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=True), medev.MatrixOfferReady(sdp="late")),
    )
    assert run(call, *late) == []
    assert call.illegal_events == 0


def test_a_phone_on_hold_may_move_while_it_leaves_its_message() -> None:
    call = recording()
    assert run(call, sipev.SipReoffered(sdp="hold")) == [medcmd.AnswerReoffer(sip_sdp="hold")]
    assert run(call, medev.ReofferAnswered(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]


def test_a_phone_that_may_not_be_answered_hears_what_it_would_without_a_message_box() -> None:
    call = boxed(scenes.ringing())
    call.attendable = False
    commands = run(call, EXPIRED)
    assert scenes.only(commands, sipcmd.RejectSip).status == outcomes.NO_ANSWER.sip_status
    assert scenes.only(commands, mxcmd.SendNotice).text.startswith("The caller could not leave a message")
    assert call.verdict == outcomes.attendants_busy(outcomes.NO_ANSWER)
