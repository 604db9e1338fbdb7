"""Events of Matrix rooms: to the call they belong to, or the beginning of a call by a Matrix user."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from bridge.app.announcements import Announcements
from bridge.app.early_candidates import EarlyCandidates
from bridge.app.handover_desk import HandoverDesk
from bridge.app.live_call import LiveCall
from bridge.app.matrix_facts import WithinCall, of_client
from bridge.app.meter import Meter
from bridge.app.switchboard import Switchboard
from bridge.app.transfer_desk import TrunkSide
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls import outbound, outcomes
from bridge.calls.call import Call
from bridge.calls.handover import partner_id
from bridge.calls.parties import MatrixParty
from bridge.calls.ports import MatrixPort, SipPort
from bridge.calls.state import Direction, MatrixLeg, State
from bridge.calls.times import CallTimes
from bridge.calls.way import Way
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import CallId, PartyId, RoomId, TrunkName, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.matrix.events import (
    CallInvite,
    CallRemark,
    CallReplaces,
    InvalidCallEvent,
    RoomEvent,
    parse_call_content,
)
from bridge.numbers.policy import Decision, NumberPlan, Route

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

_PRE_ANSWER = frozenset(
    {State.LOCATING, State.AWAITING_JOIN, State.OFFERING, State.RINGING, State.REPLACED, State.HUNTING}
)


class MatrixIntake:
    """Decides what an `m.call.*` event means. Rooms come in order; nothing here waits for SIP or audio."""

    def __init__(
        self,
        *,
        switchboard: Switchboard,
        matrix: MatrixPort,
        sip: SipPort,
        plan: Callable[[], NumberPlan],
        sides: Callable[[], Mapping[TrunkName, TrunkSide]],
        meter: Meter,
        announcements: Announcements,
        hides_number: Callable[[UserId], bool | None],
        call_waiting: Callable[[], bool],
        times: Callable[[], CallTimes],
        clock: Clock,
        entropy: Entropy,
        telemetry: Telemetry,
    ) -> None:
        self._switchboard = switchboard
        self._matrix = matrix
        self._sip = sip
        self._plan = plan
        self._meter = meter
        self._announcements = announcements
        self._hides_number = hides_number
        self._call_waiting = call_waiting
        self._times = times
        self._clock = clock
        self._entropy = entropy
        self._telemetry = telemetry
        self._handovers = HandoverDesk(
            plan=plan, sides=sides, ways=self._ways, matrix=matrix, sip=sip, directory=switchboard.directory
        )
        self._early = EarlyCandidates()
        self._notified: OrderedDict[RoomId, None] = OrderedDict()

    async def handle(self, event: RoomEvent) -> None:
        """Take one event of a room, in the room's order."""
        if event.type == "m.room.member":
            self._member(event)
            return
        try:
            content = parse_call_content(event)
        except InvalidCallEvent as error:
            self._ignored(event, error.reason)
            return
        if self._matrix.is_ours(event.sender):
            return
        if content is None:
            self._of_no_kind(event)
        elif isinstance(content, CallInvite):
            await self._invite(event, content)
        elif not isinstance(content, CallRemark):
            self._of_a_call(event, content)

    def _ignored(self, event: RoomEvent, reason: str) -> None:
        self._telemetry.count("matrix_call_events_ignored_total", reason=reason)
        log.info("call_event_ignored", reason=reason, kind=event.type, room_id=event.room_id, event_id=event.event_id)

    def _of_no_kind(self, event: RoomEvent) -> None:
        """What a client of tomorrow says in a call is counted; group calls, and calls as state, are not for us."""
        if event.type.startswith("m.call.") and event.state_key is None and "conf_id" not in event.content:
            self._ignored(event, "unknown_kind")

    def _member(self, event: RoomEvent) -> None:
        membership, user = event.content.get("membership"), UserId(event.state_key or "")
        if membership not in ("join", "leave", "ban"):
            return
        kind = mxev.MemberJoined if membership == "join" else mxev.MemberLeft
        change = kind(user=user, room_id=event.room_id)
        for live in self._switchboard.directory.in_room(event.room_id):
            self._switchboard.feed(live, change)

    def _of_a_call(self, event: RoomEvent, content: WithinCall | CallReplaces) -> None:
        live = self._switchboard.directory.by_matrix_call(event.room_id, content.call_id)
        if live is not None:
            self._switchboard.tracing.matrix_in(live, event)
        if isinstance(content, CallReplaces):
            self._hand_over(event, live, content)
            return
        translated = of_client(event.sender, content)
        if translated is None:
            self._ignored(event, "negotiation")
        elif live is not None:
            self._switchboard.feed(live, translated)
        else:
            self._of_no_call(event, translated)

    def _hand_over(self, event: RoomEvent, live: LiveCall | None, wish: CallReplaces) -> None:
        if live is None:
            self._ignored(event, "unknown_call")
        else:
            judged = self._handovers.judge(live, event.sender, wish)
            if judged is not None:
                self._switchboard.feed(live, judged)

    def _of_no_call(self, event: RoomEvent, translated: mxev.OfMatrixCall) -> None:
        """Other servers' events may come in another order: an end forbids the invite, candidates wait for it."""
        now = self._clock.monotonic()
        known = self._switchboard.directory.knows(event.room_id, translated.matrix_call_id)
        if isinstance(translated, mxev.HangupReceived | mxev.RejectReceived):
            self._switchboard.directory.bury(event.room_id, translated.matrix_call_id, now)
        elif isinstance(translated, mxev.CandidatesReceived) and not known:
            self._early.keep(event.room_id, translated, now)
        self._ignored(event, "unknown_call")

    async def _invite(self, event: RoomEvent, invite: CallInvite) -> None:
        if self._switchboard.directory.knows(event.room_id, invite.call_id):
            self._ignored(event, "repeated_invite")
            return
        if event.hung_up:
            self._ignored(event, "ended_invite")
            return
        try:
            public = await self._matrix.is_public(event.room_id)
            members = await self._matrix.joined_members(event.room_id)
            caller_name = await self._matrix.display_name(event.sender)
        except TrunklineError as error:
            # Without the homeserver nobody could be told; the caller's client gives up at its own time.
            log.warning("invite_not_judged", detail=str(error), room_id=event.room_id)
            self._ignored(event, "homeserver_unreachable")
            return
        self._judge(event, invite, public=public, members=members, caller_name=caller_name)

    def _judge(
        self, event: RoomEvent, invite: CallInvite, *, public: bool, members: frozenset[UserId], caller_name: str
    ) -> None:
        """Nothing is waited for from here on, so the age that is judged is the age at which the phone is dialled."""
        ghost = self._called_ghost(invite, members)
        if self._remaining_s(event, invite) < RING_GRACE_S:
            self._ignored(event, "expired_invite")
        elif public:
            self._ignored(event, "public_room")
        elif event.sender not in members:
            # They left right after; nobody would be there to hear an answer, and no leaving would end the call.
            self._ignored(event, "not_a_member")
        elif ghost is None:
            self._ignored(event, "not_for_us")
        elif invite.invitee is None and len(members) != 2:
            self._refuse_crowded_room(event, invite, ghost)
        else:
            self._offer(event, invite, ghost, caller_name)

    def _called_ghost(self, invite: CallInvite, members: frozenset[UserId]) -> UserId | None:
        """Which of our ghosts is called, if any.

        In a room with the ghost of somebody's extension Element for iOS names that somebody, who is not in the room.
        """
        ghosts = [user for user in members if self._matrix.ghost_number(user) is not None]
        if invite.invitee in ghosts:
            return invite.invitee
        if len(ghosts) != 1 or invite.invitee in members:
            return None
        person = self._plan().user_of(self._matrix.ghost_number(ghosts[0]) or "")
        return ghosts[0] if invite.invitee in (None, person) else None

    def _age_s(self, event: RoomEvent) -> float:
        return event.age_ms / 1000 + max(0.0, self._clock.monotonic() - event.received_at)

    def _remaining_s(self, event: RoomEvent, invite: CallInvite) -> float:
        return invite.lifetime_ms / 1000 - self._age_s(event)

    def _offer(self, event: RoomEvent, invite: CallInvite, ghost: UserId, caller_name: str) -> None:
        """The invite is for us and in time: join it to a call from that phone, or begin one."""
        dialled = self._matrix.ghost_number(ghost) or ""
        others = self._switchboard.directory.between(event.sender, self._plan().caller_number(dialled))
        if crossing := min(filter(_crosses, others), key=_fitness, default=None):
            self._cross(crossing, event, invite, ghost)
            return
        sent_at = self._clock.monotonic() - self._age_s(event)
        busy = bool(others) and not (self._call_waiting() and all(_was_up(live, sent_at) for live in others))
        refusal = self._refusal(event.sender, dialled, busy=busy)
        call_id = CallId(self._entropy.token(20))
        decision = refusal or self._decide(call_id, event.sender, event.room_id, dialled)
        live = LiveCall(call=self._call(call_id, event, invite, ghost, decision, caller_name))
        first = _first_event(decision, age_s=self._age_s(event))
        self._switchboard.tracing.matrix_in(live, event)
        self._switchboard.open(live, first)
        for early in self._early.take(event.room_id, invite.call_id, self._clock.monotonic()):
            self._switchboard.feed(live, early)

    def _refusal(self, user: UserId, dialled: str, *, busy: bool) -> Verdict | None:
        """Why no call of this user's is taken now, if so. Whoever calls for help cannot wait for a restart."""
        if not self._switchboard.accepting and not self._plan().is_emergency(dialled, user):
            return outcomes.SHUTTING_DOWN
        return BUSY_WITH_ANOTHER_CALL if busy else None

    def _decide(self, call_id: CallId, user: UserId, room_id: RoomId | None, dialled: str) -> Decision | Verdict:
        decision = self._plan().decide(
            user,
            dialled,
            self._sip.trunk_up,
            room=room_id,
            withheld=self._hides_number(user),
            spin=lambda total: self._entropy.integer(0, total - 1),
        )
        if isinstance(decision, Decision):
            decision = self._switchboard.service.narrow(decision)
        return decision if isinstance(decision, Verdict) else self._meter.admit(call_id, user, decision)

    def _ways(self, call: Call, dialled: str) -> tuple[Way, ...] | Verdict:
        """How a call that the user leaves to another number would go on to it; a hidden caller stays hidden."""
        decision = self._decide(partner_id(call), call.matrix.user, call.matrix.room_id, dialled)
        if isinstance(decision, Verdict):
            return decision
        ways = map(self._way, decision.routes)
        return tuple(replace(way, withheld=way.withheld or call.withheld) for way in ways)

    def _way(self, route: Route) -> Way:
        return Way(
            trunk=route.trunk,
            number=route.number,
            caller=route.caller,
            withheld=route.withheld,
            answers_early=self._plan().answers_early(route.trunk),
        )

    def _call(
        self,
        call_id: CallId,
        event: RoomEvent,
        invite: CallInvite,
        ghost: UserId,
        decision: Decision | Verdict,
        caller_name: str = "",
    ) -> Call:
        nowhere = Way(
            trunk=TrunkName(""), number=self._plan().caller_number(self._matrix.ghost_number(ghost) or ""), caller=""
        )
        ways = [self._way(route) for route in decision.routes] if isinstance(decision, Decision) else [nowhere]
        return outbound.begin(
            call_id=call_id,
            ways=ways,
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
            remaining_s=self._remaining_s(event, invite),
            caller_name=caller_name,
            emergency=self._plan().is_emergency(ways[0].number, event.sender),
            spoken=self._announcements.for_call(event.sender, decision),
            times=self._times(),
            now=self._clock.monotonic(),
            wall=self._clock.wall(),
        )

    def _cross(self, live: LiveCall, event: RoomEvent, invite: CallInvite, ghost: UserId) -> None:
        self._switchboard.tracing.matrix_in(live, event)
        crossing = mxev.CrossingInvite(
            matrix_call_id=invite.call_id,
            room_id=event.room_id,
            ghost=ghost,
            user=event.sender,
            party=invite.party_id,
            version=invite.version,
            sdp=invite.sdp,
        )
        self._switchboard.feed(live, crossing)

    def _refuse_crowded_room(self, event: RoomEvent, invite: CallInvite, ghost: UserId) -> None:
        """Somebody else in the room could be meant, so nothing rings and nothing is rejected; one notice explains."""
        call = self._call(CallId(self._entropy.token(20)), event, invite, ghost, NOT_ONE_TO_ONE)
        call.matrix_leg = MatrixLeg.NONE
        known = event.room_id in self._notified
        verdict = replace(NOT_ONE_TO_ONE, user_text=None) if known else NOT_ONE_TO_ONE
        self._notified[event.room_id] = None
        if len(self._notified) > MAX_NOTIFIED_ROOMS:
            self._notified.popitem(last=False)
        self._switchboard.open(LiveCall(call=call), ev.CallRefused(verdict=verdict))


def _crosses(live: LiveCall) -> bool:
    return live.call.direction is Direction.INBOUND and live.call.state in _PRE_ANSWER


def _fitness(live: LiveCall) -> tuple[bool, bool]:
    """Of several calls that an invite may cross: the one that its client gave up for it, or one without another."""
    return live.call.state is not State.REPLACED, live.call.rival is not None


def _was_up(live: LiveCall, moment: float) -> bool:
    """Whether a call was answered before then: an invite sent earlier crossed it, and has lost to the answer."""
    return live.call.at.answered is not None and live.call.at.answered <= moment


def _first_event(decision: Decision | Verdict, *, age_s: float) -> ev.Event:
    """How the life of an outgoing call begins."""
    if isinstance(decision, Verdict):
        return ev.CallRefused(verdict=decision)
    return ev.CallPermitted(hold_s=BACKLOG_HOLD_S if age_s > BACKLOG_AGE_S else 0.0)
