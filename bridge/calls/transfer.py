"""Another phone takes the place of the one that a call is with, while the Matrix side goes on.

A transfer (RFC 3515, RFC 5589): the phone asks us with REFER to call somebody else. Whom is decided by the policy for
the call's user; how the call goes on is reported with NOTIFY; the phone is let go when the other one has answered, and
stays when not. A replacement (RFC 3891): the other phone calls in and says whose place it takes.
"""

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.established import ANY_TIME
from bridge.calls.parties import SecondLeg
from bridge.calls.state import EndedBy, SipLeg, State, Timer
from bridge.calls.steps import Row, Table, ignore, media_connected_early

MAX_TRANSFERS = 5
"""Of one call, so that phones that refer to each other do not go on for ever."""
FORBIDDEN, REQUEST_PENDING, NOT_ACCEPTABLE, NO_DIALOG, NO_ANSWER = 403, 491, 488, 481, 480


def permitted(call: Call, event: tev.TransferPermitted, now: float) -> list[cmd.Command]:
    """Call the phone that is to take over; until it answers nothing changes for the two who talk."""
    if call.transfers >= MAX_TRANSFERS:
        return [sipcmd.RefuseReferral(status=FORBIDDEN)]
    call.transfers += 1
    call.state = State.TRANSFERRING
    call.second = SecondLeg(
        number=event.number,
        caller=event.caller,
        withheld=event.withheld,
        uri=event.uri,
        replaces=event.replaces,
        referred_by=event.referred_by,
    )
    call.deadlines[Timer.TRANSFER] = now + call.times.ring_s
    return [sipcmd.AcceptReferral(), medcmd.WriteTransferOffer()]


def forbidden(call: Call, event: tev.TransferForbidden, now: float) -> list[cmd.Command]:
    return [sipcmd.RefuseReferral(status=event.status)]


def not_now(call: Call, event: tev.TransferPermitted | tev.TransferForbidden, now: float) -> list[cmd.Command]:
    """The call has yet to come up, or another phone is about to take over already."""
    return [sipcmd.RefuseReferral(status=REQUEST_PENDING)]


def offer_ready(call: Call, event: tev.TransferOfferReady, now: float) -> list[cmd.Command]:
    is_called = call.second is None or call.second.dialog is not None
    return [] if is_called else [sipcmd.PlaceTransfer(sdp=event.sdp)]


def progress(call: Call, event: tev.TransferProgress, now: float) -> list[cmd.Command]:
    return _notify(call, event.status)


def answered(call: Call, event: tev.TransferAnswered, now: float) -> list[cmd.Command]:
    call.deadlines[Timer.TRANSFER] = now + call.times.connect_s
    if event.sdp is None:
        return _hang_up_second(call) + _give_up(call, NOT_ACCEPTABLE, now)
    return [medcmd.TakeTransferAnswer(sip_sdp=event.sdp)]


def failed(call: Call, event: tev.TransferFailed, now: float) -> list[cmd.Command]:
    return _give_up(call, event.status, now)


def media_refused(call: Call, event: tev.TransferMediaRefused, now: float) -> list[cmd.Command]:
    return _hang_up_second(call) + _give_up(call, event.status, now)


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """The other phone rang long enough, or the replaced one has not hung up."""
    match event.timer:
        case Timer.TRANSFER if call.second is not None:
            cancel = [sipcmd.CancelSip(dialog=call.second.dialog)] if call.second.dialog is not None else []
            return [*cancel, *_give_up(call, NO_ANSWER, now)]
        case Timer.ANSWER if call.second is not None:
            return _refuse_replacement(call, outcomes.MEDIA_FAILED.sip_status, now)
        case Timer.FORMER:
            return _let_former_go(call)
        case Timer.CONNECT if call.at.connected is None:
            return call.end(outcomes.ICE_FAILED, EndedBy.BRIDGE, now)
        case _:
            return []


def media_ready(call: Call, event: tev.TransferMediaReady, now: float) -> list[cmd.Command]:
    """The other phone is heard: say so to the one that asked, and give it a moment to hang up by itself."""
    return [*_notify(call, 200), *_take_over(call, now)]


def phone_left(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    """Many phones hang up as soon as their REFER was accepted: the transfer goes on without them."""
    call.sip_leg = SipLeg.NONE
    return []


def reoffered(call: Call, event: sipev.SipReoffered, now: float) -> list[cmd.Command]:
    """A description of ours for another phone is out: none can be made for this one meanwhile (RFC 3261 §14.2)."""
    if event.sdp is None:
        return [sipcmd.RejectSip(status=REQUEST_PENDING)]
    return [medcmd.AnswerReoffer(sip_sdp=event.sdp)]


def replacement_offered(call: Call, event: tev.ReplacementOffered, now: float) -> list[cmd.Command]:
    if call.transfers >= MAX_TRANSFERS:
        return [sipcmd.RejectSip(status=FORBIDDEN, dialog=event.dialog)]
    call.transfers += 1
    call.state = State.REPLACING
    call.deadlines[Timer.ANSWER] = now + call.times.connect_s
    call.second = SecondLeg(
        number=event.number,
        name=event.name,
        dialog=event.dialog,
        sip_call_id=event.sip_call_id,
        late_offer=event.sdp is None,
    )
    return [cmd.FollowDialog(dialog=event.dialog), medcmd.AnswerReplacement(sip_sdp=event.sdp)]


def replacement_too_early(call: Call, event: tev.ReplacementOffered, now: float) -> list[cmd.Command]:
    return [sipcmd.RejectSip(status=REQUEST_PENDING, dialog=event.dialog)]


def replacement_ready(call: Call, event: tev.ReplacementReady, now: float) -> list[cmd.Command]:
    """The new dialog is the call's at once; the old one is hung up by whom it was replaced (RFC 3891 §3)."""
    second, former = call.second, call.dialog
    if second is None:
        return []
    call.late_offer = call.late_to_another = second.late_offer
    bye = [sipcmd.ByeSip(dialog=former)] if call.sip_leg is SipLeg.ESTABLISHED else []
    call.sip_leg = SipLeg.NONE
    return [sipcmd.AcceptSip(sdp=event.sdp, dialog=second.dialog), *bye, *_take_over(call, now)]


def replacement_refused(call: Call, event: tev.TransferMediaRefused, now: float) -> list[cmd.Command]:
    return _refuse_replacement(call, event.status, now)


def _refuse_replacement(call: Call, status: int, now: float) -> list[cmd.Command]:
    dialog = call.second.dialog if call.second is not None else None
    return [sipcmd.RejectSip(status=status, dialog=dialog), *_go_on(call, now)]


def replacement_cancelled(call: Call, event: tev.ReplacementCancelled, now: float) -> list[cmd.Command]:
    return _go_on(call, now)


def reoffered_by_another(call: Call, event: tev.ReofferedByAnother, now: float) -> list[cmd.Command]:
    """It may ask again once the call is with it (RFC 3261 §14.2); one that was replaced is about to be hung up."""
    return [sipcmd.RejectSip(status=REQUEST_PENDING, dialog=event.dialog)]


def former_left(call: Call, event: tev.FormerPhoneLeft, now: float) -> list[cmd.Command]:
    call.former = None
    call.deadlines.pop(Timer.FORMER, None)
    return []


def _take_over(call: Call, now: float) -> list[cmd.Command]:
    """Make the second leg the call's own."""
    second, before = call.second, call.dialog
    if second is None:
        return []
    former_goes = _let_former_go(call)
    _stop_waiting(call)
    if call.sip_leg is SipLeg.ESTABLISHED:
        call.former = before
        call.deadlines[Timer.FORMER] = now + call.times.former_s
    call.state, call.sip_leg, call.second = _settled(call), SipLeg.ESTABLISHED, None
    call.dialog, call.sip_call_id = second.dialog, second.sip_call_id
    call.connected_number, call.connected_name = second.number, second.name
    identity = mxcmd.SendIdentity(number=second.number, name=second.name)
    tell_hold = [] if call.late_offer else [medcmd.WriteSipReoffer()]
    return [*former_goes, identity, *tell_hold]


def _let_former_go(call: Call) -> list[cmd.Command]:
    former, call.former = call.former, None
    call.deadlines.pop(Timer.FORMER, None)
    return [sipcmd.ByeSip(dialog=former)] if former is not None else []


def _give_up(call: Call, status: int, now: float) -> list[cmd.Command]:
    """The other phone does not take over; the two who talked talk on, if both are still there."""
    notify = _notify(call, max(status, 300))
    return [*notify, *_go_on(call, now, status)]


def _go_on(call: Call, now: float, status: int = NO_ANSWER) -> list[cmd.Command]:
    call.second, call.state = None, _settled(call)
    _stop_waiting(call)
    if call.sip_leg is not SipLeg.ESTABLISHED:
        call.peer_status = status
        return call.end(outcomes.of_sip_failure(status, local=False), EndedBy.SIP, now)
    return [medcmd.WriteSipReoffer()]


def _stop_waiting(call: Call) -> None:
    for timer in (Timer.TRANSFER, Timer.ANSWER):
        call.deadlines.pop(timer, None)


def _settled(call: Call) -> State:
    return State.CONNECTED if call.at.connected is not None else State.CONNECTING


def _notify(call: Call, status: int) -> list[cmd.Command]:
    return [sipcmd.NotifyReferral(dialog=call.dialog, status=status)] if call.dialog is not None else []


def _hang_up_second(call: Call) -> list[cmd.Command]:
    dialog = call.second.dialog if call.second is not None else None
    return [sipcmd.ByeSip(dialog=dialog)] if dialog is not None else []


_NOT_NOW: dict[type[object], Row] = {
    tev.TransferPermitted: Row(not_now, ()),
    tev.TransferForbidden: Row(not_now, ()),
}
_ONE_AT_A_TIME: dict[type[object], Row] = {**_NOT_NOW, tev.ReplacementOffered: Row(replacement_too_early, ())}
_MEANWHILE: dict[type[object], Row] = {
    **ANY_TIME,
    tev.ReofferedByAnother: Row(reoffered_by_another, ()),
    **_ONE_AT_A_TIME,
    tev.FormerPhoneLeft: Row(former_left, ()),
    medev.MediaConnected: Row(media_connected_early, ()),
    sipev.SipEnded: Row(phone_left, ()),
    sipev.SipReoffered: Row(reoffered, ()),
    ev.TimerFired: Row(timer_fired, (State.CONNECTED, State.CONNECTING, State.ENDED)),
}
_TRANSFERRING: dict[type[object], Row] = {
    **_MEANWHILE,
    tev.TransferOfferReady: Row(offer_ready, ()),
    tev.TransferProgress: Row(progress, ()),
    tev.TransferAnswered: Row(answered, (State.CONNECTED, State.ENDED)),
    tev.TransferFailed: Row(failed, (State.CONNECTED, State.ENDED)),
    tev.TransferMediaReady: Row(media_ready, (State.CONNECTED,)),
    tev.TransferMediaRefused: Row(media_refused, (State.CONNECTED, State.ENDED)),
}
_REPLACING: dict[type[object], Row] = {
    **_MEANWHILE,
    tev.ReplacementReady: Row(replacement_ready, (State.CONNECTED, State.CONNECTING)),
    tev.ReplacementCancelled: Row(replacement_cancelled, (State.CONNECTED, State.CONNECTING, State.ENDED)),
    tev.TransferMediaRefused: Row(replacement_refused, (State.CONNECTED, State.CONNECTING, State.ENDED)),
}
LATE = (tev.TransferOfferReady, tev.TransferProgress, tev.TransferAnswered, tev.TransferFailed)
"""What may still come of a transfer that was given up."""

TABLE: Table = {
    (State.CONNECTED, tev.TransferPermitted): Row(permitted, (State.TRANSFERRING,)),
    (State.CONNECTED, tev.TransferForbidden): Row(forbidden, ()),
    (State.CONNECTED, tev.ReplacementOffered): Row(replacement_offered, (State.REPLACING,)),
    (State.CONNECTED, tev.FormerPhoneLeft): Row(former_left, ()),
    **{(state, tev.ReofferedByAnother): Row(reoffered_by_another, ()) for state in (State.CONNECTING, State.CONNECTED)},
    (State.CONNECTED, ev.TimerFired): Row(timer_fired, ()),
    **{(State.CONNECTED, event): Row(ignore, ()) for event in (*LATE, tev.TransferMediaReady)},
    (State.CONNECTING, tev.ReplacementOffered): Row(replacement_offered, (State.REPLACING,)),
    **{(State.CONNECTING, event): row for event, row in _NOT_NOW.items()},
    **{
        (state, event): row
        for state in (State.EARLY_ANSWERING, State.EARLY, State.ANSWERING)
        for event, row in _ONE_AT_A_TIME.items()
    },
    **{(State.TRANSFERRING, event): row for event, row in _TRANSFERRING.items()},
    **{(State.REPLACING, event): row for event, row in _REPLACING.items()},
}
