"""A phone calls a Matrix user: from INVITE to 200."""

from dataclasses import replace

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import message_commands as mcmd
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.menu import MenuPlan, Walk
from bridge.calls.message import MessageBox
from bridge.calls.parties import MatrixParty
from bridge.calls.state import Direction, EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.calls.steps import (
    WHILE_ANSWERING,
    Row,
    Table,
    abort,
    ignore,
    matrix_reoffered,
    media_lost,
    member_left,
    refuse,
)
from bridge.calls.times import CallTimes, Milestones
from bridge.calls.turning_away import turn_away
from bridge.core.ids import CallId, DialogKey, MatrixCallId, PartyId, SipCallId, TrunkName, UserId
from bridge.core.presence import RingWhen, rings
from bridge.core.verdict import Verdict


def begin(
    *,
    call_id: CallId,
    trunk: TrunkName,
    number: str,
    dialog: DialogKey,
    sdp: str | None,
    user: UserId,
    matrix_call_id: MatrixCallId,
    own_party: PartyId,
    caller: str = "",
    caller_name: str = "",
    called: str = "",
    ring_when: RingWhen = RingWhen.ALWAYS,
    message_box: MessageBox | None = None,
    menu: MenuPlan | None = None,
    sip_call_id: SipCallId | None = None,
    times: CallTimes,
    now: float,
    wall: float,
) -> Call:
    """A call that a phone wants to make. Feed it `CallPermitted` or `CallRefused` next."""
    call = Call(
        call_id=call_id,
        direction=Direction.INBOUND,
        trunk=trunk,
        number=number,
        matrix=MatrixParty(call_id=matrix_call_id, user=user, own_party=own_party),
        times=times,
        at=Milestones(invited=now),
        began_wall=wall,
        caller=caller,
        caller_name=caller_name,
        called=called,
        ring_when=ring_when,
        message_box=message_box,
        walk=None if menu is None else Walk(menu=menu, path=(menu.name,)),
        sip_call_id=sip_call_id,
        sip_leg=SipLeg.INCOMING,
        dialog=dialog,
        sip_sdp=sdp,
        late_offer=sdp is None,
    )
    call.deadlines[Timer.EXPIRY] = now + times.ring_s
    call.deadlines[Timer.PROGRESS] = now + times.progress_s
    return call


def permitted(call: Call, event: ev.CallPermitted, now: float) -> list[cmd.Command]:
    """Look at the phone's offer while the room is found: what cannot be used is refused before anything rings."""
    if call.walk is not None and not call.attendable:
        return call.end(outcomes.ATTENDANTS_BUSY, EndedBy.BRIDGE, now)
    take = [medcmd.TakeSipOffer(sip_sdp=call.sip_sdp)] if call.sip_sdp is not None else []
    if call.walk is not None:
        call.state = State.ATTENDING
        call.answer_soon(now)
        return [*take, mcmd.WriteOwnAnswer(late_offer=call.late_offer)]
    call.state = State.LOCATING
    first: cmd.Command = mxcmd.OpenPortal() if call.ring_when is RingWhen.ALWAYS else mxcmd.AskPresence()
    return [*take, first]


def presence_known(call: Call, event: mxev.PresenceKnown, now: float) -> list[cmd.Command]:
    """Ring, or let the phone's side take a message at once."""
    if rings(call.ring_when, event.state):
        return [mxcmd.OpenPortal()]
    return turn_away(call, outcomes.NOT_THERE, EndedBy.BRIDGE, now)


def portal_ready(call: Call, event: mxev.PortalReady, now: float) -> list[cmd.Command]:
    call.matrix.room_id, call.matrix.ghost = event.room_id, event.ghost
    if not event.user_joined:
        call.state = State.AWAITING_JOIN
        return ring(call, now)
    return offer(call)


def offer(call: Call) -> list[cmd.Command]:
    call.state = State.OFFERING
    return [medcmd.WriteMatrixOffer()]


def member_joined(call: Call, event: mxev.MemberJoined, now: float) -> list[cmd.Command]:
    """Ring on join: the user took the room's invite while the phone still rings."""
    return offer(call) if event.user == call.matrix.user else []


def matrix_offer_ready(call: Call, event: medev.MatrixOfferReady, now: float) -> list[cmd.Command]:
    """Send the invite. Its lifetime is what is left of the ring time, so that devices fall silent with the phone."""
    if (room_id := call.matrix.room_id) is None:
        return call.end(outcomes.INTERNAL_ERROR, EndedBy.BRIDGE, now)
    call.state, call.matrix_leg = State.RINGING, MatrixLeg.OURS
    lifetime_s = max(10.0, call.deadlines.get(Timer.EXPIRY, now) - now)
    call.deadlines[Timer.EXPIRY] = now + lifetime_s
    invite = mxcmd.SendInvite(sdp=event.sdp, lifetime_ms=int(lifetime_s * 1000))
    return [cmd.FollowMatrixCall(room_id=room_id, matrix_call_id=call.matrix.call_id), invite]


def invite_delivered(call: Call, event: mxev.InviteDelivered, now: float) -> list[cmd.Command]:
    call.delivered = True
    return ring(call, now)


def invite_refused(call: Call, event: ev.CallRefused, now: float) -> list[cmd.Command]:
    """An invite that the homeserver would not have rings nowhere: there is nothing to hang up.

    One that may have arrived all the same, because the answer did not, is hung up.
    """
    if event.verdict == outcomes.MATRIX_REFUSED:
        call.matrix_leg = MatrixLeg.NONE
    return not_taken(call, event, now)


def not_taken(call: Call, event: ev.CallRefused, now: float) -> list[cmd.Command]:
    """The user wants no calls now, or cannot be asked."""
    return turn_away(call, event.verdict, EndedBy.BRIDGE, now)


def ring(call: Call, now: float) -> list[cmd.Command]:
    """Tell the phone that it rings: once the homeserver has the invite, or when the phone would lose patience."""
    call.deadlines.pop(Timer.PROGRESS, None)
    if call.at.ringing is not None or call.sip_leg not in (SipLeg.INCOMING, SipLeg.ESTABLISHED):
        return []
    call.at.ringing = now
    return [sipcmd.RingSip()] if call.sip_leg is SipLeg.INCOMING else []


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    match event.timer:
        case Timer.PROGRESS:
            return ring(call, now)
        case Timer.EXPIRY:
            return turn_away(call, outcomes.NO_ANSWER, EndedBy.BRIDGE, now)
        case _:
            return []


def answered(call: Call, event: mxev.AnswerReceived, now: float) -> list[cmd.Command]:
    """The first valid answer wins. The others learn it from `select_answer` and stop ringing.

    An answer without a party (version 0) is taken, and nobody is selected.
    """
    if event.user != call.matrix.user:
        return []
    call.state, call.matrix_leg = State.ACCEPTING, MatrixLeg.ANSWERED
    call.matrix.peer_party, call.matrix.version = event.party, event.version
    call.answer_soon(now)
    select = [mxcmd.SendSelectAnswer(selected_party=event.party)] if event.party and event.version else []
    rival, candidates = call.farewell_rival(), call.buffered_of(call.matrix.call_id, event.party)
    if call.sip_leg is SipLeg.ESTABLISHED:
        call.connect(now)
        return [*select, *rival, ncmd.TakeMatrixAnswer(matrix_sdp=event.sdp), *candidates]
    write = medcmd.WriteSipAnswer(matrix_sdp=event.sdp, late_offer=call.late_offer)
    return [*select, *rival, write, *candidates]


def device_candidates(call: Call, event: mxev.CandidatesReceived, now: float) -> list[cmd.Command]:
    """Devices may send candidates around their answer; only the selected party's are used, after its answer."""
    if event.user == call.matrix.user:
        call.buffer_candidates(event)
    return []


def rejected(call: Call, event: mxev.RejectReceived, now: float) -> list[cmd.Command]:
    """The user declined: on every device, so the reject is selected like an answer (specification, VoIP)."""
    return _refused_by(call, event, now) if event.user == call.matrix.user else []


def hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """A callee's hangup before an answer: a "no" from old clients, otherwise one device's trouble, which is ignored."""
    if event.user != call.matrix.user or event.reason not in outcomes.PRE_ANSWER_REFUSALS:
        return []
    return _refused_by(call, event, now)


def _refused_by(call: Call, event: mxev.RejectReceived | mxev.HangupReceived, now: float) -> list[cmd.Command]:
    call.matrix_leg = MatrixLeg.ENDED
    select = [mxcmd.SendSelectAnswer(selected_party=event.party)] if event.party else []
    return [*select, *turn_away(call, refusal(call, event.reason), EndedBy.MATRIX, now)]


def refusal(call: Call, reason: str | None) -> Verdict:
    """What the phone is told of a call that its user does not want."""
    verdict = outcomes.of_matrix_refusal(reason)
    if verdict is not outcomes.DECLINED:
        return verdict
    return replace(verdict, sip_status=call.times.decline_status)


def cancelled(call: Call, event: sipev.SipCancelled, now: float) -> list[cmd.Command]:
    """The phone gives up, perhaps while our 200 waits for its PRACK (RFC 3262 §3): then it was never answered."""
    call.sip_leg, call.at.answered = SipLeg.ENDED, None
    verdict = outcomes.CALLER_GAVE_UP_ELSEWHERE if event.answered_elsewhere else outcomes.CANCELLED
    return call.end(verdict, EndedBy.SIP, now)


def sip_answer_ready(call: Call, event: medev.SipAnswerReady, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ESTABLISHED
    call.connect(now)
    return [sipcmd.AcceptSip(sdp=event.sdp)]


def peer_hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """The selected device hung up before the phone was told of the answer."""
    if not call.is_peer(event.user, event.party):
        return []
    call.matrix_leg = MatrixLeg.ENDED
    return call.end(outcomes.DECLINED, EndedBy.MATRIX, now)


def peer_candidates(call: Call, event: mxev.CandidatesReceived, now: float) -> list[cmd.Command]:
    if not call.is_peer(event.user, event.party):
        return []
    return [medcmd.AddCandidates(candidates=event.candidates)]


_ANY_TIME: dict[type[object], Row] = {
    ev.Aborted: Row(abort, (State.ENDED,)),
    mxev.MemberLeft: Row(member_left, (State.ENDED,)),
    sipev.SipCancelled: Row(cancelled, (State.ENDED,)),
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
    medev.MediaRefused: Row(refuse, (State.ENDED,)),
}
WAITING = (State.LOCATING, State.AWAITING_JOIN, State.OFFERING, State.RINGING)

TABLE: Table = {
    (State.NEW, ev.CallPermitted): Row(permitted, (State.LOCATING, State.ATTENDING, State.ENDED)),
    (State.NEW, ev.CallRefused): Row(not_taken, (State.ENDED, State.ATTENDING)),
    (State.NEW, ev.Aborted): Row(abort, (State.ENDED,)),
    (State.LOCATING, mxev.PresenceKnown): Row(presence_known, (State.ENDED, State.ATTENDING)),
    (State.LOCATING, mxev.PortalReady): Row(portal_ready, (State.OFFERING, State.AWAITING_JOIN)),
    (State.AWAITING_JOIN, mxev.MemberJoined): Row(member_joined, (State.OFFERING,)),
    (State.OFFERING, medev.MatrixOfferReady): Row(matrix_offer_ready, (State.RINGING,)),
    (State.OFFERING, mxev.MemberJoined): Row(ignore, ()),
    (State.RINGING, mxev.MemberJoined): Row(ignore, ()),
    (State.RINGING, mxev.InviteDelivered): Row(invite_delivered, ()),
    (State.RINGING, mxev.AnswerReceived): Row(answered, (State.ACCEPTING,)),
    (State.RINGING, mxev.CandidatesReceived): Row(device_candidates, ()),
    (State.RINGING, mxev.RejectReceived): Row(rejected, (State.ENDED, State.ATTENDING)),
    (State.RINGING, mxev.HangupReceived): Row(hung_up, (State.ENDED, State.ATTENDING)),
    (State.ACCEPTING, ev.CallRefused): Row(ignore, ()),
    (State.ACCEPTING, mxev.MemberJoined): Row(ignore, ()),
    (State.ACCEPTING, mxev.InviteDelivered): Row(invite_delivered, ()),
    (State.ACCEPTING, medev.SipAnswerReady): Row(sip_answer_ready, (State.CONNECTING, State.CONNECTED)),
    (State.ACCEPTING, mxev.CandidatesReceived): Row(peer_candidates, ()),
    (State.ACCEPTING, mxev.HangupReceived): Row(peer_hung_up, (State.ENDED,)),
    (State.ACCEPTING, mxev.MatrixReoffered): Row(matrix_reoffered, ()),
    (State.ACCEPTING, mxev.AnswerReceived): Row(ignore, ()),
    (State.ACCEPTING, mxev.RejectReceived): Row(ignore, ()),
    **{(state, ev.TimerFired): Row(timer_fired, (State.ENDED, State.ATTENDING)) for state in WAITING},
    **{(state, ev.CallRefused): Row(invite_refused, (State.ENDED, State.ATTENDING)) for state in WAITING},
    **{(state, event): row for state in (*WAITING, State.ACCEPTING) for event, row in _ANY_TIME.items()},
    **{(State.ACCEPTING, event): row for event, row in WHILE_ANSWERING.items()},
}
