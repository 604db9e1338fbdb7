"""Crossing calls: the two ends call each other at the same moment, and exactly one call survives.

Between Matrix and us the specification (VoIP, "Glare") compares the call ids: the lesser survives. Element Web,
Android and iOS do not implement it, so both calls would ring for ever; we therefore always can give way, and our ids
sort last so that giving way is also the rule. The user's own call is then connected to the phone that rings: they
called, and the phone "picked up"; on the phone they called, and the user "picked up".

Between SIP and us there is no rule. Where the configuration believes a trunk's caller numbers, the phone that we are
dialling and that calls the same user is joined to the user's call, and our INVITE is cancelled; anywhere else somebody
with a forged number could take over a call, so the phone hears busy and goes on ringing.
"""

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import inbound
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.outbound import caller_hung_up
from bridge.calls.parties import Rival
from bridge.calls.state import MatrixLeg, SipLeg, State, Timer
from bridge.calls.steps import WHILE_ANSWERING, Row, Table, abort, ignore, media_lost, member_left, refuse
from bridge.core.ids import MatrixCallId
from bridge.core.verdict import MatrixReason

WAIT_FOR_REPLACEMENT_S = 5.0


def survivor(ours: MatrixCallId, theirs: MatrixCallId) -> MatrixCallId:
    """The call that lives on when both invites were sent: the lesser id, by code points."""
    return min(ours, theirs)


def crossing_before_invite(call: Call, event: mxev.CrossingInvite, now: float) -> list[cmd.Command]:
    """Our invite has not been sent: it never will be, and theirs is answered."""
    if event.user != call.matrix.user or event.matrix_call_id == call.matrix.call_id:
        return []
    return adopt(call, rival_of(event), now)


def crossing_while_ringing(call: Call, event: mxev.CrossingInvite, now: float) -> list[cmd.Command]:
    """Both invites are out. If ours survives by the rule, their client gets a moment to answer it, as few do."""
    if event.user != call.matrix.user or event.matrix_call_id == call.matrix.call_id:
        return []
    if call.rival is not None:
        return [busy(event)]
    if survivor(call.matrix.call_id, event.matrix_call_id) == event.matrix_call_id:
        return _give_way(call, rival_of(event), now)
    call.rival = rival_of(event)
    call.deadlines[Timer.GLARE] = now + call.times.glare_s
    return [cmd.FollowMatrixCall(room_id=event.room_id, matrix_call_id=event.matrix_call_id)]


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """Their client did not settle it (Element Web, Android, iOS): give way."""
    if event.timer is Timer.GLARE:
        rival, call.rival = call.rival, None
        return _give_way(call, rival, now) if rival else []
    return inbound.timer_fired(call, event, now)


def our_invite_hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """`replaced` means that their client chose the user's own call, which may not have arrived yet.

    Other devices still ring; that this one's word was taken silences them, as it does after a reject.
    """
    if event.user != call.matrix.user or event.reason != MatrixReason.REPLACED:
        return inbound.hung_up(call, event, now)
    ours = _ours(call)
    silence = [mxcmd.SendSelectAnswer(selected_party=event.party, other=ours)] if event.party and ours else []
    call.matrix_leg = MatrixLeg.ENDED
    if call.rival is not None:
        rival, call.rival = call.rival, None
        return [*silence, *adopt(call, rival, now)]
    call.state = State.REPLACED
    call.deadlines[Timer.EXPIRY] = now + WAIT_FOR_REPLACEMENT_S
    return [*silence]


def of_another_call(call: Call, event: mxev.OfMatrixCall, now: float) -> list[cmd.Command]:
    """An event of the other Matrix call of a glare: of the rival that waits, or of the one that was given up."""
    rival = call.rival
    if rival is None or event.matrix_call_id != rival.call.call_id or event.user != call.matrix.user:
        return []
    if isinstance(event, mxev.HangupReceived):
        call.rival = None
        call.deadlines.pop(Timer.GLARE, None)
    elif isinstance(event, mxev.CandidatesReceived):
        call.buffer_candidates(event)
    return []


def busy(event: mxev.CrossingInvite) -> mxcmd.SendReject:
    """Turn down the user's own call."""
    return mxcmd.SendReject(reason=MatrixReason.USER_BUSY, other=rival_of(event).call)


def rival_of(event: mxev.CrossingInvite) -> Rival:
    """The user's own call."""
    call = mxcmd.OtherMatrixCall(
        call_id=event.matrix_call_id, room_id=event.room_id, ghost=event.ghost, version=event.version
    )
    return Rival(call=call, party=event.party, sdp=event.sdp)


def _give_way(call: Call, rival: Rival, now: float) -> list[cmd.Command]:
    """Abort our invite with the reason that js-sdk itself uses, then answer theirs."""
    ours = _ours(call)
    given_up = [mxcmd.SendHangup(reason=MatrixReason.REPLACED, other=ours)] if ours is not None else []
    return [*given_up, *adopt(call, rival, now)]


def _ours(call: Call) -> mxcmd.OtherMatrixCall | None:
    """The call's Matrix side as it is before another takes its place."""
    ours = call.matrix
    if ours.room_id is None or ours.ghost is None:
        return None
    return mxcmd.OtherMatrixCall(call_id=ours.call_id, room_id=ours.room_id, ghost=ours.ghost, version=ours.version)


def adopt(call: Call, rival: Rival, now: float) -> list[cmd.Command]:
    """Make the user's own call the Matrix side of this call."""
    theirs = rival.call
    call.state, call.matrix_leg = State.ADOPTING, MatrixLeg.THEIRS
    call.matrix.call_id, call.matrix.peer_party, call.matrix.version = theirs.call_id, rival.party, theirs.version
    call.matrix.room_id, call.matrix.ghost = theirs.room_id, theirs.ghost
    call.answer_soon(now)
    return [
        cmd.FollowMatrixCall(room_id=theirs.room_id, matrix_call_id=theirs.call_id),
        medcmd.WriteBothAnswers(
            matrix_sdp=rival.sdp, sip_sdp=call.sip_sdp, fresh=False, answered=call.sip_leg is SipLeg.ESTABLISHED
        ),
        *call.buffered_of(theirs.call_id, rival.party),
    ]


def sip_call_crossed(call: Call, event: sipev.CrossingSipCall, now: float) -> list[cmd.Command]:
    """The phone that we dial calls the user who dials it: drop our INVITE, join the two."""
    cancel = [sipcmd.CancelSip(dialog=call.dialog)] if call.sip_leg is SipLeg.DIALLING else []
    matrix_sdp, call.dialog = call.matrix_sdp or "", event.dialog
    call.trunk, call.sip_call_id = event.trunk, event.sip_call_id
    call.state, call.sip_leg = State.ADOPTING, SipLeg.INCOMING
    call.sip_sdp, call.sip_sdp_taken, call.late_offer = event.sdp, "", event.sdp is None
    call.answer_soon(now)
    return [
        *cancel,
        cmd.FollowDialog(dialog=event.dialog),
        medcmd.WriteBothAnswers(matrix_sdp=matrix_sdp, sip_sdp=event.sdp, fresh=True),
        *call.buffered_of(call.matrix.call_id, call.matrix.peer_party),
    ]


def both_answers_ready(call: Call, event: medev.BothAnswersReady, now: float) -> list[cmd.Command]:
    call.matrix_leg, call.sip_leg = MatrixLeg.ANSWERED, SipLeg.ESTABLISHED
    call.connect(now)
    accept = [sipcmd.AcceptSip(sdp=event.sip_sdp)] if event.sip_sdp is not None else []
    return [mxcmd.SendAnswer(sdp=event.matrix_sdp), *accept]


_VOID = (
    ev.CallRefused,
    mxev.PresenceKnown,
    mxev.PortalReady,
    mxev.InviteDelivered,
    medev.MatrixOfferReady,
    medev.SipOfferReady,
)
"""Results of what the adoption made void."""

ADOPTION: Table = {
    (State.ADOPTING, medev.BothAnswersReady): Row(both_answers_ready, (State.CONNECTING, State.CONNECTED)),
    (State.ADOPTING, medev.MediaRefused): Row(refuse, (State.ENDED,)),
    (State.ADOPTING, sipev.SipCancelled): Row(inbound.cancelled, (State.ENDED,)),
    (State.ADOPTING, mxev.HangupReceived): Row(caller_hung_up, (State.ENDED,)),
    (State.ADOPTING, mxev.CandidatesReceived): Row(inbound.peer_candidates, ()),
    (State.ADOPTING, ev.Aborted): Row(abort, (State.ENDED,)),
    (State.ADOPTING, mxev.MemberLeft): Row(member_left, (State.ENDED,)),
    (State.ADOPTING, mxev.MemberJoined): Row(ignore, ()),
    **{(State.ADOPTING, event): Row(ignore, ()) for event in _VOID},
    **{(State.ADOPTING, event): row for event, row in WHILE_ANSWERING.items()},
}
"""Joining the two halves, whoever was first."""

OUTBOUND: Table = {
    **ADOPTION,
    **{
        (state, sipev.CrossingSipCall): Row(sip_call_crossed, (State.ADOPTING,))
        for state in (State.PREPARING, State.DIALLING)
    },
}
"""The phone calls the user who dials it."""

INBOUND: Table = {
    **ADOPTION,
    **{
        (state, mxev.CrossingInvite): Row(crossing_before_invite, (State.ADOPTING,))
        for state in (State.LOCATING, State.AWAITING_JOIN, State.OFFERING, State.REPLACED)
    },
    (State.RINGING, mxev.CrossingInvite): Row(crossing_while_ringing, (State.ADOPTING,)),
    (State.RINGING, ev.TimerFired): Row(timer_fired, (State.ADOPTING, State.ENDED, State.ATTENDING)),
    (State.RINGING, mxev.HangupReceived): Row(
        our_invite_hung_up, (State.ADOPTING, State.REPLACED, State.ENDED, State.ATTENDING)
    ),
    (State.REPLACED, ev.TimerFired): Row(inbound.timer_fired, (State.ENDED, State.ATTENDING)),
    (State.REPLACED, mxev.InviteDelivered): Row(inbound.invite_delivered, ()),
    (State.REPLACED, sipev.SipCancelled): Row(inbound.cancelled, (State.ENDED,)),
    (State.REPLACED, medev.MediaLost): Row(media_lost, (State.ENDED,)),
    (State.REPLACED, ev.Aborted): Row(abort, (State.ENDED,)),
    (State.REPLACED, mxev.MemberLeft): Row(member_left, (State.ENDED,)),
    (State.REPLACED, mxev.MemberJoined): Row(ignore, ()),
    (State.REPLACED, ev.CallRefused): Row(ignore, ()),
    # Other devices have not heard yet that the call was given up.
    **{
        (State.REPLACED, event): Row(ignore, ())
        for event in (mxev.AnswerReceived, mxev.RejectReceived, mxev.HangupReceived, mxev.CandidatesReceived)
    },
}
"""The user calls the phone that calls them. Refines rows of the plain call."""
