"""A phone's call to several users: who is rung and when, until one of them takes it or nobody does.

What a member has set holds for the member's ring. In turn, the next one is rung when the last one's devices have fallen
silent; together, one who declines leaves the others ringing. Whether the phone has been answered already makes no
difference to who is rung.
"""

from collections.abc import Callable, Mapping

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import glare, inbound, outcomes
from bridge.calls import hunt_commands as hcmd
from bridge.calls import hunt_events as hev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.hunt import Hunt, Ring, Step
from bridge.calls.hunt_plan import BoxOf, HuntPlan
from bridge.calls.menu import MenuPlan
from bridge.calls.state import EndedBy, SipLeg, State, Timer
from bridge.calls.steps import Row, Table, abort, ignore, refuse
from bridge.calls.turning_away import attend, back_to_menu, go_to_menu, take_message
from bridge.core.presence import RingWhen, rings
from bridge.core.verdict import MatrixReason, Verdict

SHORTEST_INVITE_S = 10.0
"""Clients do not ring for an invite that is about to run out."""


def begin(call: Call, plan: HuntPlan, now: float) -> list[cmd.Command]:
    """Ring the members of a plan."""
    if call.hunt is None:
        call.hunt = Hunt(plan=plan, group=plan.group)
    else:
        call.hunt.follow(plan)
    call.state = State.HUNTING
    return _ring_next(call, call.hunt, now)


def permitted(call: Call, event: ev.CallPermitted, now: float) -> list[cmd.Command]:
    """Look at the phone's offer while the members are found, as for a single user."""
    if call.hunt is None:
        return inbound.permitted(call, event, now)
    take = [medcmd.TakeSipOffer(sip_sdp=call.sip_sdp)] if call.sip_sdp is not None else []
    return [*take, *begin(call, call.hunt.plan, now)]


def _ring_next(call: Call, hunt: Hunt, now: float) -> list[cmd.Command]:
    call.deadlines[Timer.EXPIRY] = now + hunt.plan.each_s
    return [hcmd.JudgeMember(matrix_call_id=ring.matrix_call_id, user=ring.user) for ring in hunt.begin_next()]


# What becomes of one ring. Each handler is given the ring, and is not asked when there is none.


def member_judged(call: Call, hunt: Hunt, ring: Ring, event: hev.MemberJudged, now: float) -> list[cmd.Command]:
    if ring.step is not Step.ASKED:
        return []
    if event.refusal is not None:
        return _over(call, hunt, ring, event.refusal, EndedBy.BRIDGE, now)
    ring.step = Step.LOCATING
    if event.ring_when is RingWhen.ALWAYS:
        return [hcmd.OpenMemberRoom(matrix_call_id=ring.matrix_call_id, user=ring.user)]
    ring.ring_when = event.ring_when
    return [hcmd.AskMemberPresence(matrix_call_id=ring.matrix_call_id, user=ring.user)]


def member_presence(call: Call, hunt: Hunt, ring: Ring, event: hev.MemberPresence, now: float) -> list[cmd.Command]:
    if ring.step is not Step.LOCATING:
        return []
    if rings(ring.ring_when, event.state):
        return [hcmd.OpenMemberRoom(matrix_call_id=ring.matrix_call_id, user=ring.user)]
    return _over(call, hunt, ring, outcomes.NOT_THERE, EndedBy.BRIDGE, now)


def room_ready(call: Call, hunt: Hunt, ring: Ring, event: hev.MemberRoomReady, now: float) -> list[cmd.Command]:
    if ring.step is not Step.LOCATING:
        return []
    ring.room_id, ring.ghost = event.room_id, event.ghost
    if event.user_joined:
        return _ready(call, hunt, ring, now)
    ring.step = Step.JOINING
    return inbound.ring(call, now)


def _ready(call: Call, hunt: Hunt, ring: Ring, now: float) -> list[cmd.Command]:
    ring.step = Step.READY
    if call.our_offer is not None:
        return _invite(call, hunt, ring, now)
    asked, hunt.offer_asked = hunt.offer_asked, True
    return [] if asked else [medcmd.WriteMatrixOffer()]


def _invite(call: Call, hunt: Hunt, ring: Ring, now: float) -> list[cmd.Command]:
    """In turn, a member rings as long as the others however long their room has taken."""
    if ring.room_id is None or ring.ghost is None or call.our_offer is None:
        return []
    if hunt.plan.in_turn:
        call.deadlines[Timer.EXPIRY] = now + hunt.plan.each_s
    ring.step = Step.RINGING
    lifetime_s = max(SHORTEST_INVITE_S, call.deadlines.get(Timer.EXPIRY, now) - now)
    return [
        cmd.FollowMatrixCall(room_id=ring.room_id, matrix_call_id=ring.matrix_call_id),
        hcmd.InviteMember(
            matrix_call_id=ring.matrix_call_id,
            user=ring.user,
            room_id=ring.room_id,
            ghost=ring.ghost,
            sdp=call.our_offer,
            lifetime_ms=int(lifetime_s * 1000),
        ),
    ]


def member_rings(call: Call, hunt: Hunt, ring: Ring, event: hev.MemberRings, now: float) -> list[cmd.Command]:
    ring.delivered = True
    return inbound.ring(call, now)


def unreachable(call: Call, hunt: Hunt, ring: Ring, event: hev.MemberUnreachable, now: float) -> list[cmd.Command]:
    """One that may have been invited all the same, because the answer to it was lost, is hung up."""
    rings_nowhere = event.verdict == outcomes.MATRIX_REFUSED
    return _over(call, hunt, ring, event.verdict, EndedBy.BRIDGE, now, told=rings_nowhere)


def declined(
    call: Call, hunt: Hunt, ring: Ring, event: mxev.RejectReceived | mxev.HangupReceived, now: float
) -> list[cmd.Command]:
    """On every device of this member, who hear of it by the selection (specification, VoIP, `m.call.reject`)."""
    return [*_silence(ring, event), *_over(call, hunt, ring, _refusal(call, event), EndedBy.MATRIX, now, told=True)]


def hung_up(call: Call, hunt: Hunt, ring: Ring, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """A "no" from old clients, or room for the member's own call; otherwise one device's trouble, which is ignored."""
    if event.reason == MatrixReason.REPLACED and ring.step is Step.RINGING:
        ring.step = Step.REPLACED
        return _silence(ring, event)
    return declined(call, hunt, ring, event, now) if event.reason in outcomes.PRE_ANSWER_REFUSALS else []


def _silence(ring: Ring, event: mxev.RejectReceived | mxev.HangupReceived) -> list[cmd.Command]:
    other = ring.matrix_call
    return [mxcmd.SendSelectAnswer(selected_party=event.party, other=other)] if event.party and other else []


def _refusal(call: Call, event: mxev.RejectReceived | mxev.HangupReceived) -> Verdict:
    return inbound.refusal(call, event.reason)


def answered(call: Call, hunt: Hunt, ring: Ring, event: mxev.AnswerReceived, now: float) -> list[cmd.Command]:
    """The first answer takes the call; everybody else's devices fall silent."""
    if ring.step is not Step.RINGING:
        return []
    others = hunt.end_all(outcomes.TAKEN_BY_ANOTHER, but=ring)
    _take(call, hunt, ring)
    return [*others, *inbound.answered(call, event, now)]


def _take(call: Call, hunt: Hunt, ring: Ring) -> None:
    """Make a member's Matrix call that of the call."""
    ring.step, call.our_offer, call.delivered = Step.OVER, None, True
    matrix = call.matrix
    matrix.user, matrix.call_id, matrix.room_id, matrix.ghost = ring.user, ring.matrix_call_id, ring.room_id, ring.ghost


def candidates(call: Call, hunt: Hunt, ring: Ring, event: mxev.CandidatesReceived, now: float) -> list[cmd.Command]:
    call.buffer_candidates(event)
    return []


# What happens to all rings, or to one that has to be looked for.


def _of_ring(act: Callable[..., list[cmd.Command]]) -> Callable[[Call, hev.HuntEvent, float], list[cmd.Command]]:
    def handler(call: Call, event: hev.HuntEvent, now: float) -> list[cmd.Command]:
        hunt = call.hunt
        ring = hunt.ring_of(event.matrix_call_id) if hunt is not None else None
        return act(call, hunt, ring, event, now) if ring is not None else []

    return handler


def _of_member(act: Callable[..., list[cmd.Command]]) -> Callable[[Call, mxev.OfMatrixCall, float], list[cmd.Command]]:
    """The same for what a member's device says."""

    def handler(call: Call, event: mxev.OfMatrixCall, now: float) -> list[cmd.Command]:
        hunt = call.hunt
        ring = hunt.ring_of(event.matrix_call_id) if hunt is not None else None
        return act(call, hunt, ring, event, now) if ring is not None and ring.user == event.user else []

    return handler


def offer_ready(call: Call, event: medev.MatrixOfferReady, now: float) -> list[cmd.Command]:
    hunt = call.hunt
    if hunt is None:
        return []
    call.our_offer = event.sdp
    waiting = [ring for ring in hunt.alive if ring.step is Step.READY]
    return [command for ring in waiting for command in _invite(call, hunt, ring, now)]


def member_joined(call: Call, event: mxev.MemberJoined, now: float) -> list[cmd.Command]:
    hunt = call.hunt
    ring = hunt.ring_of_user(event.user) if hunt is not None else None
    if hunt is None or ring is None or ring.step is not Step.JOINING or event.room_id not in (None, ring.room_id):
        return []
    return _ready(call, hunt, ring, now)


def member_left(call: Call, event: mxev.MemberLeft, now: float) -> list[cmd.Command]:
    """A room without its member, or without its ghost, is one ring less."""
    hunt = call.hunt
    if hunt is None:
        return []
    gone = [
        ring
        for ring in hunt.alive
        if event.user in (ring.user, ring.ghost) and event.room_id in (None, ring.room_id) and ring.room_id is not None
    ]
    return [
        command
        for ring in gone
        for command in _over(call, hunt, ring, outcomes.ROOM_LEFT, EndedBy.MATRIX, now, told=True)
    ]


def crossing(call: Call, event: mxev.CrossingInvite, now: float) -> list[cmd.Command]:
    """A member calls the phone that rings them: they have taken the call. Their client is given way at once."""
    hunt = call.hunt
    ring = hunt.ring_of_user(event.user) if hunt is not None else None
    if hunt is None or ring is None or event.matrix_call_id == ring.matrix_call_id:
        return []
    others = hunt.end_all(outcomes.TAKEN_BY_ANOTHER, but=ring)
    ours = ring.matrix_call
    given_up = (
        [mxcmd.SendHangup(reason=MatrixReason.REPLACED, other=ours)] if ours and ring.step is Step.RINGING else []
    )
    _take(call, hunt, ring)
    return [*others, *given_up, *glare.adopt(call, glare.rival_of(event), now)]


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    hunt = call.hunt
    match event.timer:
        case Timer.PROGRESS:
            return inbound.ring(call, now)
        case Timer.EXPIRY if hunt is not None:
            return [*hunt.end_all(outcomes.NO_ANSWER), *_go_on(call, hunt, EndedBy.BRIDGE, now)]
        case _:
            return []


def _over(
    call: Call, hunt: Hunt, ring: Ring, why: Verdict, by: EndedBy, now: float, *, told: bool = False
) -> list[cmd.Command]:
    return [*ring.end(why, told=told), *_go_on(call, hunt, by, now)]


def _go_on(call: Call, hunt: Hunt, by: EndedBy, now: float) -> list[cmd.Command]:
    """Ring the next member, when nobody rings; when there is none, do what the plan says."""
    if call.ended or hunt.alive:
        return []
    if not hunt.exhausted:
        return _ring_next(call, hunt, now)
    match hunt.plan.otherwise:
        case HuntPlan() as plan:
            return begin(call, plan, now)
        case BoxOf() as last if last.takes(hunt.outcome()):
            call.matrix.user, call.message_box = last.user, last.box
            why = hunt.outcome()
            return attend(call, why, now) if call.sip_leg is SipLeg.INCOMING else take_message(call, why, now)
        case MenuPlan() as menu:
            return go_to_menu(call, menu, hunt.outcome(), now)
        case _ if call.is_attended:
            return back_to_menu(call, hunt.outcome(), by, now)
        case _:
            return call.end(hunt.outcome(), by, now)


_NOT_TAKEN = (State.ENDED, State.ATTENDING, State.ATTENDED, State.IN_MENU)


_OF_RINGS: Mapping[type[object], Row] = {
    hev.MemberJudged: Row(_of_ring(member_judged), _NOT_TAKEN),
    hev.MemberPresence: Row(_of_ring(member_presence), _NOT_TAKEN),
    hev.MemberRoomReady: Row(_of_ring(room_ready), ()),
    hev.MemberRings: Row(_of_ring(member_rings), ()),
    hev.MemberUnreachable: Row(_of_ring(unreachable), _NOT_TAKEN),
    mxev.AnswerReceived: Row(_of_member(answered), (State.ACCEPTING, State.CONNECTING, State.CONNECTED)),
    mxev.RejectReceived: Row(_of_member(declined), _NOT_TAKEN),
    mxev.HangupReceived: Row(_of_member(hung_up), _NOT_TAKEN),
    mxev.CandidatesReceived: Row(_of_member(candidates), ()),
    medev.MatrixOfferReady: Row(offer_ready, ()),
    mxev.MemberJoined: Row(member_joined, ()),
    mxev.MemberLeft: Row(member_left, _NOT_TAKEN),
    mxev.CrossingInvite: Row(crossing, (State.ADOPTING,)),
    ev.TimerFired: Row(timer_fired, _NOT_TAKEN),
    sipev.SipCancelled: Row(inbound.cancelled, (State.ENDED,)),
    medev.MediaRefused: Row(refuse, (State.ENDED,)),
    ev.Aborted: Row(abort, (State.ENDED,)),
    ev.CallRefused: Row(ignore, ()),
    mxev.AnswerSelected: Row(ignore, ()),
}
_LATE = (hev.MemberJudged, hev.MemberPresence, hev.MemberRoomReady, hev.MemberRings, hev.MemberUnreachable)
"""Results of what was asked for rings that are over: a room can take long to make."""
_AFTER = tuple(state for state in State if state not in (State.NEW, State.HUNTING, State.ENDED))

TABLE: Table = {
    (State.NEW, ev.CallPermitted): Row(permitted, (State.LOCATING, State.HUNTING, State.ATTENDING, State.ENDED)),
    **{(State.HUNTING, event): row for event, row in _OF_RINGS.items()},
    **{(state, event): Row(ignore, ()) for state in _AFTER for event in _LATE},
}
