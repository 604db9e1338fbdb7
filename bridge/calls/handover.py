"""A Matrix user leaves a phone to somebody else: transfer by the client, blind or attended (MSC2747).

Clients end their call without a word as they ask for it, so the Matrix side is over at once and is told so. The phone
waits. If its side can be asked to make the call itself (REFER, RFC 3515), that is all. Otherwise the other phone has a
call of its own, placed now or known already, and the two calls become partners: their audio is joined, and the end of
one is the end of the other. The user is in neither any more.
"""

from dataclasses import replace

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.established import OF_THE_PHONE
from bridge.calls.outbound import identity_known
from bridge.calls.parties import Handover
from bridge.calls.state import EndedBy, MatrixLeg, State, Timer
from bridge.calls.steps import Row, Table, abort, ignore, media_lost, refuse
from bridge.calls.transfer import LATE as LATE_OF_A_TRANSFER
from bridge.calls.transfer import reoffered_by_another
from bridge.core.ids import CallId
from bridge.core.verdict import MatrixReason, Result

AWAIT_S = 10.0
"""A client names the other phone right after it has said that it will."""
FORBIDDEN = 403


def permitted(call: Call, event: hev.HandoverPermitted, now: float) -> list[cmd.Command]:
    """The user is gone; the phone waits for the other one."""
    if not _is_from_user(call, event):
        return []
    call.handover = Handover(
        ways=event.ways,
        new_matrix_call_id=event.new_matrix_call_id,
        by_refer=event.by_refer,
        attended=event.other is not None,
    )
    leave = _leave_user(call, now + call.times.ring_s)
    if event.other is None:
        return [*leave, *_connect(call, now)]
    call.partner = event.other
    return [*leave, *tell(call, hev.PartnerClaimed(partner=call.call_id))]


def forbidden(call: Call, event: hev.HandoverForbidden, now: float) -> list[cmd.Command]:
    """No client waits for this word, but the specification of it does not say so; the phone has nobody left to hear."""
    if not _is_from_user(call, event):
        return []
    return [hcmd.RejectReplacement(replacement_id=event.replacement_id), *call.end(event.verdict, EndedBy.BRIDGE, now)]


def awaited(call: Call, event: hev.HandoverAwaited, now: float) -> list[cmd.Command]:
    """The client's word to the other phone may come before or after this one: they go to different rooms."""
    return _leave_user(call, now + AWAIT_S) if _is_from_user(call, event) else []


def claimed(call: Call, event: hev.PartnerClaimed, now: float) -> list[cmd.Command]:
    """The user connects this phone with another one."""
    if call.partner is not None or call.handover is not None:
        return claimed_too_late(call, event, now)
    call.partner = call.parent = event.partner
    leave = [] if call.state is State.HANDING_OVER else _leave_user(call, 0.0)
    call.deadlines[Timer.TRANSFER] = now + call.times.ring_s
    return [*leave, *tell(call, hev.PartnerAgreed())]


def claimed_too_late(call: Call, event: hev.PartnerClaimed, now: float) -> list[cmd.Command]:
    """This call's phone is about to talk to somebody else."""
    return [hcmd.TellPartner(partner=event.partner, event=hev.PartnerLeft(verdict=outcomes.transfer_failed()))]


def partner_agreed(call: Call, event: hev.PartnerAgreed, now: float) -> list[cmd.Command]:
    return _connect(call, now)


def _connect(call: Call, now: float) -> list[cmd.Command]:
    """Bring the two phones together: by the phone's side, by joining two calls, or by placing the second one first."""
    plan = call.handover
    if plan is None:
        return []
    if plan.attended and call.partner is None:
        return call.end(outcomes.transfer_failed(), EndedBy.BRIDGE, now)
    if plan.by_refer:
        call.handover = replace(plan, referred=True)
        return [hcmd.ReferSip(number=plan.ways[0].number, replaces=call.partner)]
    if call.partner is not None:
        return [hcmd.JoinMedia(partner=call.partner)]
    call.partner = partner_id(call)
    return [hcmd.FetchPhone(call_id=call.partner)]


def referral_reported(call: Call, event: hev.ReferralReported, now: float) -> list[cmd.Command]:
    """Many a peer says that it takes REFER and does not; two phones that are on the line need not depend on it."""
    plan = call.handover
    if event.status < 200 or plan is None or not plan.referred:
        return []
    if event.status < 300:
        return call.end(outcomes.TRANSFERRED, EndedBy.MATRIX, now)
    if event.refused or call.partner is not None:
        call.handover = replace(plan, by_refer=False, referred=False)
        return _connect(call, now)
    return call.end(outcomes.transfer_failed(outcomes.of_sip_failure(event.status, local=False)), EndedBy.BRIDGE, now)


def partners_joined(call: Call, event: hev.PartnersJoined, now: float) -> list[cmd.Command]:
    return [*tell(call, hev.PartnerHeard(answered=True)), *settle(call, now)]


def partner_heard(call: Call, event: hev.PartnerHeard, now: float) -> list[cmd.Command]:
    """What the other phone's network plays is heard too, by a phone that the client may have put on hold."""
    return settle(call, now) if event.answered else [medcmd.WriteSipReoffer()]


def settle(call: Call, now: float) -> list[cmd.Command]:
    """Two phones talk. One that the client had put on hold goes on."""
    call.state = State.JOINED
    call.deadlines.clear()
    if call.at.connected is None:
        call.at.connected = now
    return [medcmd.WriteSipReoffer()]


def partner_left(call: Call, event: hev.PartnerLeft, now: float) -> list[cmd.Command]:
    """The other phone did not take it.

    Not so where the phone's side connects the two: the other phone hangs up when it is called in our place, and the
    phone that asks for that has often left by then.
    """
    call.partner = None
    if call.handover is None:
        call.deadlines[Timer.FORMER] = now + call.times.former_s
        return []
    if call.handover.by_refer:
        return []
    if event.verdict.result is Result.SUCCESS and not call.handover.attended:
        # It was answered, and hung up before there was anything to hear.
        return call.end(outcomes.COMPLETED, EndedBy.SIP, now)
    return call.end(outcomes.transfer_failed(event.verdict), EndedBy.BRIDGE, now)


def partner_hung_up(call: Call, event: hev.PartnerLeft, now: float) -> list[cmd.Command]:
    call.partner = None
    return call.end(outcomes.COMPLETED, EndedBy.SIP, now)


def waited_long_enough(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    match event.timer:
        case Timer.FORMER:
            return call.end(outcomes.TRANSFERRED, EndedBy.MATRIX, now)
        case Timer.TRANSFER:
            return call.end(outcomes.transfer_failed(outcomes.NO_ANSWER), EndedBy.BRIDGE, now)
        case _:
            return []


def not_transferred_again(
    call: Call, event: tev.TransferPermitted | tev.TransferForbidden, now: float
) -> list[cmd.Command]:
    """There is no user whose permissions could decide."""
    return [sipcmd.RefuseReferral(status=FORBIDDEN)]


def not_replaced(call: Call, event: tev.ReplacementOffered, now: float) -> list[cmd.Command]:
    return [sipcmd.RejectSip(status=FORBIDDEN, dialog=event.dialog)]


def not_now(call: Call, event: hev.HandoverPermitted, now: float) -> list[cmd.Command]:
    if not _is_from_user(call, event):
        return []
    end = call.end(outcomes.transfer_failed(), EndedBy.BRIDGE, now)
    return [hcmd.RejectReplacement(replacement_id=event.replacement_id), *end]


def _leave_user(call: Call, deadline: float) -> list[cmd.Command]:
    """The user's part of the call is over, and their other devices and the timeline are told so."""
    former = [sipcmd.ByeSip(dialog=call.former)] if call.former is not None else []
    call.former = None
    call.transfers += 1
    call.state, call.matrix_leg = State.HANDING_OVER, MatrixLeg.ENDED
    call.deadlines.clear()
    call.deadlines[Timer.TRANSFER] = deadline
    return [*former, mxcmd.SendHangup(reason=MatrixReason.USER_HANGUP), hcmd.DropMatrixMedia()]


def _is_from_user(call: Call, event: hev.HandoverPermitted | hev.HandoverForbidden | hev.HandoverAwaited) -> bool:
    return event.matrix_call_id == call.matrix.call_id and call.is_peer(event.user, event.party)


def partner_id(call: Call) -> CallId:
    """Of the call that is placed for this one: one call is left to another phone only once."""
    return CallId(f"{call.call_id}-2")


def tell(call: Call, event: hev.FromPartner) -> list[cmd.Command]:
    """A word to the partner, if there still is one."""
    return [hcmd.TellPartner(partner=call.partner, event=event)] if call.partner is not None else []


_USER_IS_GONE: dict[type[object], Row] = {
    event: Row(ignore, ())
    for event in (
        *(mxev.HangupReceived, mxev.CandidatesReceived, mxev.MatrixReoffered, mxev.AnswerSelected, mxev.AnswerReceived),
        *(
            mxev.RejectReceived,
            mxev.MemberLeft,
            mxev.MemberJoined,
            mxev.InviteDelivered,
            mxev.PresenceKnown,
            mxev.PortalReady,
        ),
        *(ev.CallRefused, medev.MatrixReofferAnswered, medev.MatrixReofferRefused, medev.MediaConnected),
        *(hev.HandoverPermitted, hev.HandoverForbidden, hev.HandoverAwaited),
    )
}
"""Whatever the client has sent or still sends; and what it had asked for before it went."""
NOT_MOVED: dict[type[object], Row] = {
    tev.TransferPermitted: Row(not_transferred_again, ()),
    tev.TransferForbidden: Row(not_transferred_again, ()),
    tev.ReplacementOffered: Row(not_replaced, ()),
}
"""A phone that talks to no user keeps its place."""
WITHOUT_USER: dict[type[object], Row] = {
    **_USER_IS_GONE,
    ev.Aborted: Row(abort, (State.ENDED,)),
    medev.MediaRefused: Row(refuse, (State.ENDED,)),
    sipev.IdentityChanged: Row(identity_known, ()),
    **NOT_MOVED,
    hev.PartnerClaimed: Row(claimed_too_late, ()),
}
_ANSWERED: dict[type[object], Row] = {
    **WITHOUT_USER,
    **OF_THE_PHONE,
    **{event: Row(ignore, ()) for event in (*LATE_OF_A_TRANSFER, tev.FormerPhoneLeft, hev.ReferralReported)},
    tev.ReofferedByAnother: Row(reoffered_by_another, ()),
}
_HANDING_OVER: dict[type[object], Row] = {
    **_ANSWERED,
    medev.MediaLost: Row(ignore, ()),
    ev.TimerFired: Row(waited_long_enough, (State.ENDED,)),
    hev.ReferralReported: Row(referral_reported, (State.ENDED,)),
    hev.PartnerClaimed: Row(claimed, ()),
    hev.PartnerAgreed: Row(partner_agreed, (State.ENDED,)),
    hev.PartnersJoined: Row(partners_joined, (State.JOINED,)),
    hev.PartnerHeard: Row(partner_heard, (State.JOINED,)),
    hev.PartnerLeft: Row(partner_left, (State.ENDED,)),
}
_JOINED: dict[type[object], Row] = {
    **_ANSWERED,
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
    ev.TimerFired: Row(ignore, ()),
    hev.PartnerAgreed: Row(ignore, ()),
    hev.PartnersJoined: Row(ignore, ()),
    hev.PartnerHeard: Row(ignore, ()),
    hev.PartnerLeft: Row(partner_hung_up, (State.ENDED,)),
}
_FROM_A_CALL: dict[type[object], Row] = {
    hev.HandoverPermitted: Row(permitted, (State.HANDING_OVER,)),
    hev.HandoverForbidden: Row(forbidden, (State.ENDED,)),
    hev.HandoverAwaited: Row(awaited, (State.HANDING_OVER,)),
    hev.PartnerClaimed: Row(claimed, (State.HANDING_OVER,)),
}
_NOT_NOW: dict[type[object], Row] = {
    hev.HandoverPermitted: Row(not_now, (State.ENDED,)),
    hev.HandoverForbidden: Row(forbidden, (State.ENDED,)),
    hev.HandoverAwaited: Row(ignore, ()),
    hev.PartnerClaimed: Row(claimed_too_late, ()),
}
"""Where only the phone's side could go on, or the phone is not on the line yet: the client is gone all the same."""

TABLE: Table = {
    **{(state, event): row for state in (State.CONNECTING, State.CONNECTED) for event, row in _FROM_A_CALL.items()},
    **{
        (state, event): row
        for state in (State.EARLY, State.ANSWERING, State.ACCEPTING, State.TRANSFERRING, State.REPLACING)
        for event, row in _NOT_NOW.items()
    },
    **{(State.HANDING_OVER, event): row for event, row in _HANDING_OVER.items()},
    **{(State.JOINED, event): row for event, row in _JOINED.items()},
}
