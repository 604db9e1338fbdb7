"""What a switchboard has around it on the stage: Matrix, SIP and audio that note what they are asked to do."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.calls.outcomes import MATRIX_UNREACHABLE
from bridge.core.errors import CallError
from bridge.core.ids import E164, CallId, DialogKey, EventId, RoomId, SipCallId, TrunkName, UserId
from bridge.core.presence import PresenceState
from bridge.media.engine import Ear, IceCandidate, MediaEvent, MediaSession, MediaStats
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.recording import Recorded, RecordingRequest
from bridge.media.sounds import Sound
from bridge.media.verdicts import sip_refused
from bridge.sip.actions import Flow
from bridge.sip.events import OutgoingCall
from bridge.sip.saved import SavedLeg
from bridge.sip.settings import Transport

ALICE = UserId("@alice:example.org")
BOB = UserId("@bob:example.org")
GHOST = UserId("@_sip_+15550100:example.org")
PHONE = "+15550100"
ROOM = RoomId("!room:example.org")
BOT = UserId("@_sip_bot:example.org")
TRUNK, PBX = TrunkName("carrier"), TrunkName("pbx")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePortal:
    room_id: RoomId = ROOM
    ghost: UserId = GHOST
    user_joined: bool = True


@dataclass(slots=True)
class StageMatrix:
    """Rooms with the members that a test gives them; notes what is sent."""

    members: dict[RoomId, frozenset[UserId]] = field(default_factory=lambda: {ROOM: frozenset({ALICE, GHOST})})
    public: set[RoomId] = field(default_factory=set)
    sent: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    patience_s: dict[str, float] = field(default_factory=dict)
    """How long each type of event was worth sending."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False
    portal_delay: asyncio.Event | None = None
    portal_fails: bool = False
    said: set[tuple[RoomId, str]] = field(default_factory=set)
    ghosts: dict[str, UserId] = field(default_factory=dict)
    """Those that have been made before."""
    presences: dict[UserId, PresenceState] = field(default_factory=dict)
    names: dict[UserId, str] = field(default_factory=dict)
    portals: dict[UserId, StagePortal] = field(default_factory=dict)
    """Of users who have a room of their own with the phone; everybody else's is `ROOM`."""
    told: dict[RoomId, list[tuple[str, Mapping[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    """The same as `sent`, by room."""
    stuck: dict[RoomId, asyncio.Event] = field(default_factory=dict)
    """Rooms whose invites are not delivered until the event."""
    refusing: set[UserId] = field(default_factory=set)
    """Users whom no room can be made with."""
    callers: list[tuple[str, str]] = field(default_factory=list)
    """Number and name of everybody for whom a portal was asked."""

    @property
    def bot(self) -> UserId:
        return BOT

    async def send(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Mapping[str, Any],
        txn_id: str,
        give_up_after_s: float = 60.0,
    ) -> None:
        self.sent.append((event_type, content, txn_id))
        self.told[room_id].append((event_type, content))
        self.patience_s[event_type] = give_up_after_s
        if event_type == "m.call.answer":
            self.answered.set()

    async def send_and_wait(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Mapping[str, Any],
        txn_id: str,
        give_up_after_s: float,
    ) -> EventId:
        if room_id in self.stuck:
            await self.stuck[room_id].wait()
        self.sent.append((event_type, content, txn_id))
        self.told[room_id].append((event_type, content))
        self.patience_s[event_type] = give_up_after_s
        return EventId("$event")

    async def withdraw(self, txn_id: str) -> None:
        self.withdrawn.append(txn_id)

    async def joined_members(self, room_id: RoomId) -> frozenset[UserId]:
        if self.down:
            raise CallError(MATRIX_UNREACHABLE)
        return self.members.get(room_id, frozenset())

    async def is_public(self, room_id: RoomId) -> bool:
        return room_id in self.public

    async def display_name(self, user: UserId) -> str:
        return self.names.get(user, "")

    async def presence(self, user: UserId) -> PresenceState | None:
        return self.presences.get(user)

    async def known_ghost(self, number: E164) -> UserId | None:
        return self.ghosts.get(number)

    async def portal(self, *, user: UserId, number: E164, caller_name: str = "") -> StagePortal:
        self.callers.append((number, caller_name))
        if self.portal_fails or user in self.refusing:
            raise CallError(MATRIX_UNREACHABLE)
        if self.portal_delay is not None:
            await self.portal_delay.wait()
        return self.portals.get(user, StagePortal())

    async def bot_room(self, user: UserId) -> RoomId:
        return (await self.portal(user=user, number=E164("bot"))).room_id

    async def upload(self, content: bytes, kind: str, owner: UserId) -> str:
        raise CallError(MATRIX_UNREACHABLE)

    async def say_once(self, room_id: RoomId, topic: str) -> bool:
        known = (room_id, topic) in self.said
        self.said.add((room_id, topic))
        return not known

    def ghost_number(self, user_id: UserId) -> str | None:
        return user_id.removeprefix("@_sip_").partition(":")[0] if user_id.startswith("@_sip_") else None

    def is_ours(self, user_id: UserId) -> bool:
        return user_id.startswith("@_sip_")

    def types(self) -> list[str]:
        return [event_type for event_type, _, _ in self.sent]

    def contents(self, event_type: str) -> list[Mapping[str, Any]]:
        """What all events of a type said, in their order."""
        return [content for kind, content, _ in self.sent if kind == event_type]

    def content(self, event_type: str) -> Mapping[str, Any]:
        """What the last event of a type said."""
        return next(content for kind, content, _ in reversed(self.sent) if kind == event_type)


@dataclass(slots=True)
class StageSip:
    """Notes the commands for dialogs."""

    commands: list[tuple[Any, ...]] = field(default_factory=list)
    broken: bool = False
    cannot_reject: bool = False
    ways: dict[DialogKey, int] = field(default_factory=dict)
    """The port to which requests of a dialog go."""
    refers: bool = True

    def invite(self, call: OutgoingCall) -> DialogKey:
        if self.broken:
            raise RuntimeError("a bug in the user agent")
        self.commands.append(("invite", call))
        return DialogKey(f"out-{len(self.commands)}")

    def ring(self, dialog: DialogKey) -> None:
        self.commands.append(("ring", dialog))

    def accept(self, dialog: DialogKey, sdp: str | None) -> None:
        self.commands.append(("accept", dialog, sdp))

    def reject(self, dialog: DialogKey, status: int, *, q850: int | None = None, forward_to: str = "") -> None:
        if self.cannot_reject:
            raise RuntimeError("a bug in the user agent")
        self.commands.append(("reject", dialog, status, forward_to) if forward_to else ("reject", dialog, status))

    def cancel(self, dialog: DialogKey) -> None:
        self.commands.append(("cancel", dialog))

    def bye(self, dialog: DialogKey, *, q850: int | None = None) -> None:
        self.commands.append(("bye", dialog))

    def reoffer(self, dialog: DialogKey, sdp: str) -> None:
        self.commands.append(("reoffer", dialog, sdp))

    def accept_referral(self, dialog: DialogKey) -> None:
        self.commands.append(("accept_referral", dialog))

    def refuse_referral(self, dialog: DialogKey, status: int) -> None:
        self.commands.append(("refuse_referral", dialog, status))

    def notify_referral(self, dialog: DialogKey, status: int) -> None:
        self.commands.append(("notify_referral", dialog, status))

    def refer(self, dialog: DialogKey, target_user: str, *, replaces: DialogKey | None = None) -> None:
        self.commands.append(("refer", dialog, target_user, replaces))

    def takes_refer(self, dialog: DialogKey) -> bool:
        return self.refers

    def send_digit(self, dialog: DialogKey, digit: str, duration_ms: int) -> None:
        self.commands.append(("send_digit", dialog, digit, duration_ms))

    def saved_leg(self, dialog: DialogKey) -> SavedLeg | None:
        self.ways[dialog] = self.ways.get(dialog, 5060)
        flow = Flow(transport=Transport.UDP, host="192.0.2.2", port=self.ways[dialog])
        return SavedLeg(trunk=TRUNK, flow=flow, secure=False, local_tag="tag")

    def revive(self, dialog: DialogKey, leg: SavedLeg) -> None:
        self.commands.append(("revive", dialog, leg.flow.port))

    def sip_call_id(self, dialog: DialogKey) -> SipCallId | None:
        return SipCallId(f"sip-{dialog}")

    def trunk_up(self, trunk: TrunkName) -> bool:
        return True

    def names(self) -> list[str]:
        return [command[0] for command in self.commands]


@dataclass(slots=True)
class StageSession:
    """Writes descriptions that say what they are."""

    asked: list[str] = field(default_factory=list)
    closed: bool = False
    reoffer: str | None = None

    async def set_matrix_offer(self, sdp: str) -> None:
        self.asked.append("set_matrix_offer")

    async def create_matrix_answer(self) -> str:
        return "our answer to matrix"

    async def create_matrix_offer(self) -> str:
        return "our offer to matrix"

    async def set_matrix_answer(self, sdp: str) -> None:
        self.asked.append("set_matrix_answer")

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        self.asked.append("add_matrix_candidates")

    async def reset_matrix_leg(self) -> None:
        self.asked.append("reset_matrix_leg")

    async def drop_sip_leg(self) -> None:
        self.asked.append("drop_sip_leg")

    async def create_sip_offer(self, *, to_another: bool = False) -> str:
        return "our offer to another phone" if to_another else "our offer to sip"

    async def create_sip_reoffer(self) -> str | None:
        return self.reoffer

    async def set_sip_answer(self, sdp: str | None, *, from_another: bool = False, early: bool = False) -> None:
        if sdp == "unusable":
            raise sip_refused("unusable")
        kind = " of another" if from_another else " early" if early else ""
        self.asked.append("keep_sip_answer" if sdp is None else f"set_sip_answer{kind}")

    async def set_sip_offer(self, sdp: str) -> None:
        self.asked.append("set_sip_offer")

    async def create_sip_answer(self) -> str:
        return "our answer to sip"

    async def play_digits(self, digits: str, duration_ms: int) -> None:
        self.asked.append(f"play {digits}")

    async def play(self, sound: Sound, ear: Ear, *, repeats: bool = False) -> int:
        self.asked.append(f"play to {ear}")
        return len(self.asked)

    async def stop_playing(self, ear: Ear) -> None:
        self.asked.append(f"stop playing to {ear}")

    async def report_phone_digits(self, wanted: bool) -> None:
        self.asked.append(f"report digits {wanted}")

    async def start_recording(self, request: RecordingRequest) -> None:
        self.asked.append(f"record {request.sides}")

    async def stop_recording(self) -> Recorded | None:
        self.asked.append("stop recording")
        return None

    async def join(self, other: MediaSession) -> None:
        self.asked.append("join")

    def stats(self) -> MediaStats:
        return MediaStats()

    async def close(self) -> MediaStats:
        self.closed = True
        return MediaStats()


@dataclass(slots=True)
class StageEngine:
    sessions: list[StageSession] = field(default_factory=list)
    policies: list[SipMediaPolicy] = field(default_factory=list)
    ready: bool = True
    has_ports: bool = True

    async def start(self, on_event: Callable[[MediaEvent], None]) -> None:
        return None

    async def open(self, call_id: CallId, policy: SipMediaPolicy = DEFAULT_POLICY) -> StageSession:
        self.policies.append(policy)
        self.sessions.append(StageSession())
        return self.sessions[-1]

    async def stop(self) -> None:
        return None
