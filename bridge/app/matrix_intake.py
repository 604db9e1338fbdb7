"""Events of Matrix rooms: to the call they belong to, or the beginning of a call by a Matrix user."""

from collections import OrderedDict

import structlog

from bridge.app.live_call import LiveCall
from bridge.app.switchboard import Switchboard
from bridge.calls import events as ev
from bridge.calls import outbound, outcomes
from bridge.calls.call import Call, CallTimes, MatrixParty
from bridge.calls.ports import MatrixPort, SipPort
from bridge.calls.state import Direction, MatrixLeg, State
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import CallId, PartyId, RoomId, TrunkName, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.matrix.events import (
    CallAnswer,
    CallCandidates,
    CallContent,
    CallHangup,
    CallInvite,
    CallNegotiate,
    CallReject,
    CallSelectAnswer,
    InvalidCallEvent,
    RoomEvent,
    parse_call_content,
)
from bridge.numbers.policy import NumberPlan, Route

log = structlog.get_logger(__name__)

RING_GRACE_S = 3.0
"""An invite with less than this left is not worth a ring; matrix-js-sdk uses the same margin."""
BACKLOG_AGE_S = 2.0
"""An invite that is older comes out of a backlog, in which its hangup may follow."""
BACKLOG_HOLD_S = 1.0
MAX_NOTIFIED_ROOMS = 1_000

BUSY_WITH_ANOTHER_CALL = Verdict(
    result=Result.CLIENT, reason="room_busy", sip_status=486, q850=17, matrix_reason=MatrixReason.USER_BUSY
)
NOT_ONE_TO_ONE = Verdict(
    result=Result.POLICY,
    reason="not_one_to_one",
    sip_status=403,
    user_text="Telephone calls can only be made from a room with you and the telephone number alone in it.",
)

_PRE_ANSWER = frozenset({State.LOCATING, State.AWAITING_JOIN, State.OFFERING, State.RINGING, State.REPLACED})


class MatrixIntake:
    """Decides what an `m.call.*` event means. Rooms come in order; nothing here waits for SIP or audio."""

    def __init__(
        self,
        *,
        switchboard: Switchboard,
        matrix: MatrixPort,
        sip: SipPort,
        plan: NumberPlan,
        times: CallTimes,
        clock: Clock,
        entropy: Entropy,
        telemetry: Telemetry,
    ) -> None:
        self._switchboard = switchboard
        self._matrix = matrix
        self._sip = sip
        self._plan = plan
        self._times = times
        self._clock = clock
        self._entropy = entropy
        self._telemetry = telemetry
        self._notified: OrderedDict[RoomId, None] = OrderedDict()

    async def handle(self, event: RoomEvent) -> None:
        """Take one event of a room, in the room's order."""
        if event.type == "m.room.member":
            self._member(event)
            return
        try:
            content = parse_call_content(event)
        except InvalidCallEvent as error:
            self._ignored(error.reason)
            return
        if content is None or self._matrix.is_ours(event.sender):
            return
        if isinstance(content, CallInvite):
            await self._invite(event, content)
        else:
            self._of_a_call(event, content)

    def _ignored(self, reason: str) -> None:
        self._telemetry.count("matrix_call_events_ignored_total", reason=reason)
        log.info("call_event_ignored", reason=reason)

    def _member(self, event: RoomEvent) -> None:
        membership, user = event.content.get("membership"), UserId(event.state_key or "")
        if membership not in ("join", "leave", "ban"):
            return
        change = ev.MemberJoined(user=user) if membership == "join" else ev.MemberLeft(user=user)
        for live in self._switchboard.directory.in_room(event.room_id):
            self._switchboard.feed(live, change)

    def _of_a_call(self, event: RoomEvent, content: CallContent) -> None:
        live = self._switchboard.directory.by_matrix_call(event.room_id, content.call_id)
        if live is None:
            self._of_no_call(event, content)
            return
        translated = _translate(event.sender, content)
        if translated is None:
            self._ignored("negotiation")
        else:
            self._switchboard.feed(live, translated)

    def _of_no_call(self, event: RoomEvent, content: CallContent) -> None:
        """A hangup can overtake its invite (federation, a backlog): the invite must not ring any more."""
        if isinstance(content, CallHangup | CallReject):
            self._switchboard.directory.bury(event.room_id, content.call_id, self._clock.monotonic())
        self._ignored("unknown_call")

    async def _invite(self, event: RoomEvent, invite: CallInvite) -> None:
        age_s = event.age_ms / 1000 + max(0.0, self._clock.monotonic() - event.received_at)
        remaining_s = invite.lifetime_ms / 1000 - age_s
        if self._switchboard.directory.knows(event.room_id, invite.call_id):
            self._ignored("repeated_invite")
        elif remaining_s < RING_GRACE_S:
            self._ignored("expired_invite")
        else:
            try:
                await self._ring_out(event, invite, age_s, remaining_s)
            except TrunklineError as error:
                # Without the homeserver nobody could be told; the caller's client gives up at its own time.
                log.warning("invite_not_judged", detail=str(error))
                self._ignored("homeserver_unreachable")

    async def _ring_out(self, event: RoomEvent, invite: CallInvite, age_s: float, remaining_s: float) -> None:
        if await self._matrix.is_public(event.room_id):
            self._ignored("public_room")
            return
        members = await self._matrix.joined_members(event.room_id)
        ghosts = [user for user in members if self._matrix.ghost_number(user) is not None]
        ghost = invite.invitee if invite.invitee in ghosts else ghosts[0] if len(ghosts) == 1 else None
        if ghost is None or (invite.invitee is not None and invite.invitee != ghost):
            self._ignored("not_for_us")
        elif invite.invitee is None and len(members) != 2:
            self._refuse_crowded_room(event, invite, ghost, remaining_s)
        else:
            self._offer(event, invite, ghost, age_s, remaining_s)

    def _offer(self, event: RoomEvent, invite: CallInvite, ghost: UserId, age_s: float, remaining_s: float) -> None:
        """The invite is for us and in time: join it to a call from that phone, or begin one."""
        number = self._matrix.ghost_number(ghost) or ""
        others = self._switchboard.directory.between(event.sender, number)
        if crossing := next((live for live in others if _crosses(live)), None):
            self._cross(crossing, event, invite, ghost)
            return
        route = self._plan.route(event.sender, number, self._sip.trunk_up)
        first = _first_event(route, busy=bool(others), accepting=self._switchboard.accepting, age_s=age_s)
        call = self._begin(event, invite, ghost, route, remaining_s)
        caller = route.caller if isinstance(route, Route) else ""
        live = LiveCall.of(call, clock=self._clock, caller=caller, called=number)
        self._switchboard.open(live, first)

    def _begin(
        self, event: RoomEvent, invite: CallInvite, ghost: UserId, route: Route | Verdict, remaining_s: float
    ) -> Call:
        trunk, number = TrunkName(""), self._matrix.ghost_number(ghost) or ""
        if isinstance(route, Route):
            trunk, number = route.trunk, route.number
        return outbound.begin(
            call_id=CallId(self._entropy.token(20)),
            trunk=trunk,
            number=number,
            matrix=MatrixParty(
                call_id=invite.call_id,
                room_id=event.room_id,
                ghost=ghost,
                user=event.sender,
                own_party=PartyId(self._entropy.token(12)),
                peer_party=invite.party_id,
                version=invite.version,
            ),
            sdp=invite.sdp,
            remaining_s=remaining_s,
            times=self._times,
            now=self._clock.monotonic(),
        )

    def _cross(self, live: LiveCall, event: RoomEvent, invite: CallInvite, ghost: UserId) -> None:
        crossing = ev.CrossingInvite(
            matrix_call_id=invite.call_id,
            room_id=event.room_id,
            ghost=ghost,
            user=event.sender,
            party=invite.party_id,
            version=invite.version,
            sdp=invite.sdp,
        )
        self._switchboard.feed(live, crossing)

    def _refuse_crowded_room(self, event: RoomEvent, invite: CallInvite, ghost: UserId, remaining_s: float) -> None:
        """Somebody else in the room could be meant, so nothing rings and nothing is rejected; one notice explains."""
        call = self._begin(event, invite, ghost, NOT_ONE_TO_ONE, remaining_s)
        call.matrix_leg = MatrixLeg.NONE
        verdict = NOT_ONE_TO_ONE
        if event.room_id in self._notified:
            verdict = Verdict(result=verdict.result, reason=verdict.reason, sip_status=verdict.sip_status)
        self._notified[event.room_id] = None
        if len(self._notified) > MAX_NOTIFIED_ROOMS:
            self._notified.popitem(last=False)
        live = LiveCall.of(call, clock=self._clock, called=call.number)
        self._switchboard.open(live, ev.CallRefused(verdict=verdict))


def _crosses(live: LiveCall) -> bool:
    return live.call.direction is Direction.INBOUND and live.call.state in _PRE_ANSWER


def _first_event(route: Route | Verdict, *, busy: bool, accepting: bool, age_s: float) -> ev.Event:
    """How the life of an outgoing call begins."""
    if not accepting:
        return ev.CallRefused(verdict=outcomes.SHUTTING_DOWN)
    if busy:
        return ev.CallRefused(verdict=BUSY_WITH_ANOTHER_CALL)
    if isinstance(route, Verdict):
        return ev.CallRefused(verdict=route)
    return ev.CallPermitted(hold_s=BACKLOG_HOLD_S if age_s > BACKLOG_AGE_S else 0.0)


def _translate(user: UserId, content: CallContent) -> ev.Event | None:
    """The same fact in the language of calls; `None` for what calls do not take (an answer that we never asked for)."""
    call_id, party = content.call_id, content.party_id
    match content:
        case CallCandidates():
            candidates = tuple(
                ev.Candidate(candidate=c.candidate, sdp_mid=c.sdp_mid, sdp_m_line_index=c.sdp_m_line_index)
                for c in content.candidates
            )
            return ev.CandidatesReceived(matrix_call_id=call_id, user=user, party=party, candidates=candidates)
        case CallAnswer():
            return ev.AnswerReceived(
                matrix_call_id=call_id, user=user, party=party, version=content.version, sdp=content.sdp
            )
        case CallSelectAnswer():
            return ev.AnswerSelected(matrix_call_id=call_id, user=user, selected_party=content.selected_party_id)
        case CallReject():
            return ev.RejectReceived(matrix_call_id=call_id, user=user, party=party, reason=content.reason)
        case CallHangup():
            return ev.HangupReceived(matrix_call_id=call_id, user=user, party=party, reason=content.reason)
        case CallNegotiate(description_type="offer"):
            return ev.MatrixReoffered(matrix_call_id=call_id, user=user, party=party, sdp=content.sdp)
        case CallNegotiate() | CallInvite():
            return None
