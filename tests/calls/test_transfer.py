"""Another phone takes over: asked for by the phone (REFER), or by calling in (Replaces)."""

from collections.abc import Callable

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.state import SipLeg, State, Timer
from bridge.calls.transfer import MAX_TRANSFERS
from bridge.core.ids import DialogKey, SipCallId
from bridge.core.verdict import MatrixReason
from tests.calls import scenes
from tests.calls.scenes import ALICE, DIALOG, LAPTOP, OTHER_DIALOG, THEIR_CALL, kinds, only, run

PERMITTED = tev.TransferPermitted(number="+15550111", caller="+15550199", referred_by="<sip:boss@pbx>")


def talking() -> Call:
    call = scenes.talking()
    call.dialog = DIALOG
    return call


def transferring() -> Call:
    """The other phone rings."""
    call = talking()
    run(call, PERMITTED, tev.TransferOfferReady(sdp="our offer"))
    assert call.second is not None
    call.second.dialog, call.second.sip_call_id = OTHER_DIALOG, SipCallId("theirs")
    run(call, tev.TransferProgress(status=180))
    return call


def transferred() -> Call:
    call = transferring()
    run(call, tev.TransferAnswered(sdp="other answer"), tev.TransferMediaReady())
    return call


def replacement(sdp: str | None = "other offer") -> tev.ReplacementOffered:
    return tev.ReplacementOffered(
        dialog=OTHER_DIALOG, sip_call_id=SipCallId("theirs"), number="+15550111", name="Carol", sdp=sdp
    )


def replacing(sdp: str | None = "other offer") -> Call:
    call = talking()
    run(call, replacement(sdp))
    return call


def test_a_permitted_transfer_is_accepted_and_the_other_phone_is_called() -> None:
    call = talking()
    assert run(call, PERMITTED) == [sipcmd.AcceptReferral(), medcmd.WriteTransferOffer()]
    assert run(call, tev.TransferOfferReady(sdp="our offer")) == [sipcmd.PlaceTransfer(sdp="our offer")]
    assert call.state is State.TRANSFERRING


def test_the_phone_that_asked_is_told_how_it_goes() -> None:
    call = transferring()
    assert run(call, tev.TransferProgress(status=183)) == [sipcmd.NotifyReferral(dialog=DIALOG, status=183)]


def test_the_call_goes_over_to_the_other_phone_when_it_has_answered_and_its_audio_is_there() -> None:
    call = transferring()
    assert run(call, tev.TransferAnswered(sdp="other answer")) == [medcmd.TakeTransferAnswer(sip_sdp="other answer")]
    assert call.dialog == DIALOG
    assert run(call, tev.TransferMediaReady()) == [
        sipcmd.NotifyReferral(dialog=DIALOG, status=200),
        mxcmd.SendIdentity(number="+15550111", name=""),
        medcmd.WriteSipReoffer(),
    ]
    assert (call.state, call.dialog, call.sip_call_id) == (State.CONNECTED, OTHER_DIALOG, "theirs")
    assert (call.connected_number, call.former) == ("+15550111", DIALOG)


def test_the_phone_that_was_replaced_hangs_up_or_is_hung_up_on() -> None:
    call = transferred()
    assert run(call, ev.TimerFired(timer=Timer.FORMER)) == [sipcmd.ByeSip(dialog=DIALOG)]
    call = transferred()
    assert run(call, tev.FormerPhoneLeft()) == []
    assert not call.deadlines
    assert kinds(run(call, scenes.hangup())).count(sipcmd.ByeSip) == 1


def test_a_call_that_ends_right_after_the_transfer_lets_both_phones_go() -> None:
    commands = run(transferred(), scenes.hangup())
    assert [command.dialog for command in commands if isinstance(command, sipcmd.ByeSip)] == [DIALOG, None]


def test_a_phone_that_hangs_up_as_soon_as_its_wish_is_accepted_does_not_end_the_call() -> None:
    call = transferring()
    assert run(call, sipev.SipEnded()) == []
    commands = run(call, tev.TransferAnswered(sdp="other answer"), tev.TransferMediaReady())
    assert sipcmd.NotifyReferral(dialog=DIALOG, status=200) in commands
    assert (call.state, call.sip_leg, call.former) == (State.CONNECTED, SipLeg.ESTABLISHED, None)


@pytest.mark.parametrize("status", [486, 404, 503])
def test_a_transfer_that_fails_leaves_the_call_as_it_was_and_says_why(status: int) -> None:
    call = transferring()
    assert run(call, tev.TransferFailed(status=status)) == [
        sipcmd.NotifyReferral(dialog=DIALOG, status=status),
        medcmd.WriteSipReoffer(),
    ]
    assert (call.state, call.dialog, call.second) == (State.CONNECTED, DIALOG, None)
    assert not call.deadlines


def test_a_transfer_that_fails_after_the_phone_left_ends_the_call() -> None:
    call = transferring()
    run(call, sipev.SipEnded())
    commands = run(call, tev.TransferFailed(status=486))
    assert only(commands, sipcmd.NotifyReferral).status == 486
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.USER_BUSY
    assert not any(isinstance(command, sipcmd.ByeSip | sipcmd.CancelSip) for command in commands)
    assert call.peer_status == 486


@pytest.mark.parametrize("begin", [talking, transferring, transferred])
def test_a_deadline_of_the_beginning_does_not_end_a_call_that_is_up(begin: Callable[[], Call]) -> None:
    call = begin()
    assert run(call, ev.TimerFired(timer=Timer.CONNECT)) == []
    assert not call.ended


def test_another_phone_that_rings_too_long_is_given_up() -> None:
    call = transferring()
    assert run(call, ev.TimerFired(timer=Timer.TRANSFER)) == [
        sipcmd.CancelSip(dialog=OTHER_DIALOG),
        sipcmd.NotifyReferral(dialog=DIALOG, status=480),
        medcmd.WriteSipReoffer(),
    ]
    assert call.state is State.CONNECTED


@pytest.mark.parametrize("sdp", [None, "unusable"])
def test_another_phone_whose_description_is_of_no_use_is_hung_up_on(sdp: str | None) -> None:
    call = transferring()
    commands = run(call, tev.TransferAnswered(sdp=sdp))
    if sdp is not None:
        commands = run(call, tev.TransferMediaRefused(status=488))
    assert only(commands, sipcmd.ByeSip).dialog == OTHER_DIALOG
    assert only(commands, sipcmd.NotifyReferral).status == 488
    assert (call.state, call.dialog) == (State.CONNECTED, DIALOG)


def test_an_offer_that_cannot_be_written_fails_the_transfer_and_nobody_is_hung_up_on() -> None:
    call = talking()
    run(call, PERMITTED)
    commands = run(call, tev.TransferMediaRefused(status=500))
    assert only(commands, sipcmd.NotifyReferral).status == 500
    assert not any(isinstance(command, sipcmd.ByeSip) for command in commands)
    assert call.state is State.CONNECTED


def test_a_user_who_hangs_up_meanwhile_ends_both() -> None:
    commands = run(transferring(), scenes.hangup())
    assert commands[:3] == [
        sipcmd.CancelSip(dialog=OTHER_DIALOG),
        sipcmd.NotifyReferral(dialog=DIALOG, status=487),
        sipcmd.ByeSip(q850=16),
    ]
    assert not any(isinstance(command, mxcmd.SendHangup) for command in commands)


def test_a_user_who_hangs_up_before_the_other_phone_was_called_leaves_nothing_to_cancel() -> None:
    call = talking()
    run(call, PERMITTED)
    commands = run(call, scenes.hangup())
    assert only(commands, sipcmd.NotifyReferral).status == 487
    assert not any(isinstance(command, sipcmd.CancelSip) for command in commands)
    assert run(call, tev.TransferOfferReady(sdp="our offer")) == []


def test_audio_that_is_lost_meanwhile_ends_both() -> None:
    commands = run(transferring(), medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT))
    assert {sipcmd.CancelSip, sipcmd.ByeSip, mxcmd.SendHangup} <= set(kinds(commands))


def test_whom_the_user_may_not_call_is_refused_and_the_call_goes_on() -> None:
    call = talking()
    assert run(call, tev.TransferForbidden(status=403)) == [sipcmd.RefuseReferral(status=403)]
    assert call.state is State.CONNECTED


def test_a_second_wish_has_to_wait_for_the_first() -> None:
    call = transferring()
    assert run(call, PERMITTED) == [sipcmd.RefuseReferral(status=491)]
    assert run(call, replacement()) == [sipcmd.RejectSip(status=491, dialog=OTHER_DIALOG)]


def test_phones_that_refer_to_each_other_are_stopped_in_the_end() -> None:
    call = talking()
    for _ in range(MAX_TRANSFERS):
        run(call, PERMITTED, tev.TransferFailed(status=486))
    assert run(call, PERMITTED) == [sipcmd.RefuseReferral(status=403)]
    assert run(call, replacement()) == [sipcmd.RejectSip(status=403, dialog=OTHER_DIALOG)]


def test_hold_during_a_transfer_is_answered_at_once_and_told_to_whichever_phone_stays() -> None:
    call = transferring()
    offer = mxev.MatrixReoffered(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, sdp="hold")
    assert run(call, offer) == [medcmd.AnswerMatrixReoffer(matrix_sdp="hold")]
    assert run(call, medev.MatrixReofferAnswered(sdp="held")) == [mxcmd.SendNegotiateAnswer(sdp="held")]
    assert medcmd.WriteSipReoffer() in run(call, tev.TransferFailed(status=486))


def test_the_phone_cannot_ask_for_a_description_while_one_is_out_for_another_phone() -> None:
    call = transferring()
    assert run(call, sipev.SipReoffered()) == [sipcmd.RejectSip(status=491)]
    assert run(call, sipev.SipReoffered(sdp="hold")) == [medcmd.AnswerReoffer(sip_sdp="hold")]


def test_a_phone_that_calls_in_takes_the_place_of_the_other_at_once() -> None:
    call = talking()
    assert run(call, replacement()) == [
        cmd.FollowDialog(dialog=OTHER_DIALOG),
        medcmd.AnswerReplacement(sip_sdp="other offer"),
    ]
    assert run(call, tev.ReplacementReady(sdp="our answer")) == [
        sipcmd.AcceptSip(sdp="our answer", dialog=OTHER_DIALOG),
        sipcmd.ByeSip(dialog=DIALOG),
        mxcmd.SendIdentity(number="+15550111", name="Carol"),
        medcmd.WriteSipReoffer(),
    ]
    assert (call.state, call.dialog, call.former) == (State.CONNECTED, OTHER_DIALOG, None)


def test_a_phone_that_calls_in_without_a_description_answers_ours_with_its_ack() -> None:
    call = replacing(None)
    commands = run(call, tev.ReplacementReady(sdp="our offer"))
    assert not any(isinstance(command, medcmd.WriteSipReoffer) for command in commands)
    assert run(call, sipev.SipConfirmed(sdp="other answer")) == [
        medcmd.TakeSipAnswer(sip_sdp="other answer", from_another=True)
    ]


def test_a_phone_that_calls_in_with_a_useless_description_is_refused_and_the_call_goes_on() -> None:
    call = replacing()
    commands = run(call, tev.TransferMediaRefused(status=488))
    assert commands[0] == sipcmd.RejectSip(status=488, dialog=OTHER_DIALOG)
    assert (call.state, call.dialog) == (State.CONNECTED, DIALOG)


def test_a_phone_that_calls_in_and_gives_up_changes_nothing() -> None:
    call = replacing()
    run(call, tev.ReplacementCancelled())
    assert (call.state, call.dialog, call.second) == (State.CONNECTED, DIALOG, None)


def test_a_call_that_ends_before_the_other_phone_is_answered_refuses_it() -> None:
    commands = run(replacing(), scenes.hangup())
    assert only(commands, sipcmd.RejectSip).dialog == OTHER_DIALOG
    assert only(commands, sipcmd.ByeSip).dialog is None


@pytest.mark.parametrize("wish", [PERMITTED, tev.TransferForbidden(status=403)])
def test_nothing_is_transferred_before_audio_is_up(wish: ev.Event) -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"))
    assert call.state is State.CONNECTING
    assert run(call, wish) == [sipcmd.RefuseReferral(status=491)]


@pytest.mark.parametrize("in_time", [True, False])
def test_a_phone_can_call_in_before_audio_is_up(in_time: bool) -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"), replacement())
    assert call.state is State.REPLACING
    if in_time:
        run(call, medev.MediaConnected())
    run(call, tev.ReplacementReady(sdp="our answer"))
    assert (call.state, call.dialog) == (State.CONNECTED if in_time else State.CONNECTING, OTHER_DIALOG)
    assert (Timer.CONNECT in call.deadlines) is not in_time


def test_audio_that_never_comes_up_ends_a_call_that_is_being_taken_over() -> None:
    call = scenes.dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"), replacement())
    commands = run(call, ev.TimerFired(timer=Timer.CONNECT))
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.ICE_FAILED
    assert only(commands, sipcmd.RejectSip).dialog == OTHER_DIALOG


def test_a_third_phone_can_follow_the_second() -> None:
    call = transferred()
    run(call, PERMITTED, tev.TransferOfferReady(sdp="our offer"))
    assert call.second is not None
    call.second.dialog = DialogKey("dialog-3")
    commands = run(call, tev.TransferAnswered(sdp="third answer"), tev.TransferMediaReady())
    assert sipcmd.ByeSip(dialog=DIALOG) in commands
    assert (call.dialog, call.former) == (DialogKey("dialog-3"), OTHER_DIALOG)
