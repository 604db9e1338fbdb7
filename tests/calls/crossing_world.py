"""A user's devices and a phone that call each other at the same moment, around the calls of a bridge, in virtual time.

Everything takes a random while, in order on each way: the room, the trunk, the media session, people. One seed is one
story. Devices behave as their clients do when an invite arrives while their own call waits for an answer.
"""

import enum
import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.core.ids import DialogKey, MatrixCallId, PartyId

ROOM_S, TRUNK_S, MEDIA_S, LANE_S = 0.4, 0.3, 0.3, 0.2
LATE_S = 2.0
"""The longest that each takes; people take no less than all of the first four together."""
REACTION_S = (1.3, 8.0)


class Kind(enum.StrEnum):
    """What a client does with an invite that crosses its own."""

    SETTLES = "matrix-js-sdk with an invitee: the lesser id survives"
    IGNORES = "Element Web and Android: there is a call in this room already"
    SHOWS_BOTH = "Element iOS: both ring"
    TAKES_LESSER = "Nheko: takes a lesser id, ignores a greater one"
    HANGS_UP_GREATER = "Dart SDK: hangs up on a greater id, rings for a lesser one"


class At(enum.StrEnum):
    """How far a call is, at a device or at the phone."""

    CALLING = "calling"
    RINGING = "ringing"
    UP = "up"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class InRoom:
    """An `m.call.*` event."""

    sender: PartyId | None
    """`None` is the bridge."""
    kind: str
    call_id: MatrixCallId
    reason: str | None = None
    selected: PartyId | None = None
    sent_at: float = 0.0


@dataclass(slots=True)
class World:
    """Who is there, what is on its way, and what each side was told."""

    seed: int
    to_bridge: Callable[[InRoom], None] = field(init=False)
    to_trunk: Callable[[DialogKey, str], None] = field(init=False)
    late_invites: float = 0.0
    """How many of the user's invites are late."""
    now: float = 0.0
    devices: "list[Device]" = field(default_factory=list)
    ended_by_bridge: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    _coming: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _last: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def at(self, moment: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (moment, self._count, action))

    def on(self, way: str, longest_s: float, action: Callable[[], None]) -> None:
        """Let something arrive, after what went the same way before."""
        moment = max(self._last.get(way, 0.0), self.now + self.chance.uniform(0.005, longest_s))
        self._last[way] = moment
        self.at(moment, action)

    def react(self, action: Callable[[], None]) -> None:
        """A person does something."""
        self.at(self.now + self.chance.uniform(*REACTION_S), action)

    def say(self, event: InRoom) -> None:
        """An event of the room, which comes to everybody in it in one order."""
        self.story.append(
            f"{self.now:.3f} {event.sender or 'bridge'} {event.kind} {event.call_id} {event.reason or ''}"
        )
        if event.sender is None and event.kind in ("hangup", "reject"):
            self.ended_by_bridge[event.call_id] += 1
        if event.sender is not None:
            self.on(*self._way_to_bridge(event), partial(self.to_bridge, event))
        for device in self.devices:
            if device.name != event.sender:
                self.on(f"to {device.name}", ROOM_S, partial(device.receive, event))

    def _way_to_bridge(self, event: InRoom) -> tuple[str, float]:
        """Some invites come from another server, and what follows them may be there first."""
        if event.kind == "invite" and self.chance.random() < self.late_invites:
            return "a detour", LATE_S
        return "to the bridge", ROOM_S

    def step(self) -> bool:
        """Let the next thing happen; false when nothing is left."""
        if not self._coming:
            return False
        self.now, _, action = heapq.heappop(self._coming)
        action()
        return True

    def run(self) -> None:
        """Until nothing happens any more."""
        while self.step():
            pass


@dataclass(slots=True)
class Device:
    """A client of the user's, and who holds it."""

    world: World
    name: PartyId
    kind: Kind
    declines: bool = False
    calls: dict[MatrixCallId, At] = field(default_factory=dict)

    def place(self, call_id: MatrixCallId) -> None:
        """Dial, unless the phone rings here already: then there is nobody to dial."""
        if not any(state in (At.RINGING, At.UP) for state in self.calls.values()):
            self.calls[call_id] = At.CALLING
            self._say("invite", call_id)

    def give_up(self, call_id: MatrixCallId) -> None:
        if self.calls.get(call_id) in (At.CALLING, At.UP):
            self._end(call_id, None)

    def receive(self, event: InRoom) -> None:
        state, ours = self.calls.get(event.call_id, At.OVER), event.sender is None
        match event.kind:
            case "invite" if ours:
                self._invited(event.call_id)
            case "answer" if ours and state is At.CALLING:
                self.calls[event.call_id] = At.UP
                self._say("select_answer", event.call_id)
            case "answer" | "reject" if not ours and state is At.RINGING:
                self.calls[event.call_id] = At.OVER
            case "reject" | "hangup" if ours and state is not At.OVER:
                self.calls[event.call_id] = At.OVER
            case "select_answer" if ours and event.selected != self.name and state is not At.OVER:
                self.calls[event.call_id] = At.OVER

    def _invited(self, call_id: MatrixCallId) -> None:
        own = next((known for known, state in self.calls.items() if state is At.CALLING), None)
        if own is None:
            self._ring(call_id)
            return
        match self.kind:
            case Kind.SETTLES if own > call_id:
                self._end(own, "replaced")
                self._answer(call_id)
            case Kind.SETTLES:
                self._end(call_id, "replaced")
            case Kind.TAKES_LESSER if own > call_id:
                self.calls[own] = At.OVER
                self._answer(call_id)
            case Kind.HANGS_UP_GREATER if call_id > own:
                self._end(call_id, None)
            case Kind.SHOWS_BOTH | Kind.HANGS_UP_GREATER:
                self._ring(call_id)
            case Kind.IGNORES | Kind.TAKES_LESSER:
                pass

    def _ring(self, call_id: MatrixCallId) -> None:
        self.calls[call_id] = At.RINGING
        self.world.react(lambda: self._pick_up(call_id))

    def _pick_up(self, call_id: MatrixCallId) -> None:
        if self.calls[call_id] is not At.RINGING or At.UP in self.calls.values():
            return
        if self.declines:
            self.calls[call_id] = At.OVER
            self._say("reject", call_id)
            return
        self._answer(call_id)
        for other, state in list(self.calls.items()):
            if state is At.CALLING:
                self._end(other, "user_hangup")

    def _answer(self, call_id: MatrixCallId) -> None:
        self.calls[call_id] = At.UP
        self._say("answer", call_id)

    def _end(self, call_id: MatrixCallId, reason: str | None) -> None:
        self.calls[call_id] = At.OVER
        self._say("hangup", call_id, reason)

    def _say(self, kind: str, call_id: MatrixCallId, reason: str | None = None) -> None:
        event = InRoom(sender=self.name, kind=kind, call_id=call_id, reason=reason, sent_at=self.world.now)
        self.world.say(event)


@dataclass(slots=True)
class Phone:
    """The phone, and whoever stands beside it."""

    world: World
    single_line: bool = False
    """Whether it refuses a call while it makes one."""
    calls: dict[DialogKey, At] = field(default_factory=dict)
    refused: bool = False

    def place(self, dialog: DialogKey) -> None:
        if not any(state in (At.RINGING, At.UP) for state in self.calls.values()):
            self.calls[dialog] = At.CALLING
            self._say(dialog, "INVITE")

    def give_up(self, dialog: DialogKey) -> None:
        if self.calls.get(dialog) is At.CALLING:
            self.calls[dialog] = At.OVER
            self._say(dialog, "CANCEL")

    def receive(self, dialog: DialogKey, message: str) -> None:
        state = self.calls.get(dialog)
        match message:
            case "INVITE":
                self._invited(dialog)
            case "200" if state is At.CALLING:
                self._up(dialog)
            case "200":  # it had given up
                self._say(dialog, "BYE")
            case "CANCEL" if state is At.RINGING:
                self.calls[dialog] = At.OVER
                self._say(dialog, "487")
            case "BYE" | "reject":
                self.calls[dialog] = At.OVER

    def _invited(self, dialog: DialogKey) -> None:
        if self.single_line and any(state is not At.OVER for state in self.calls.values()):
            self.calls[dialog], self.refused = At.OVER, True
            self._say(dialog, "486")
            return
        self.calls[dialog] = At.RINGING
        self._say(dialog, "180")
        self.world.react(lambda: self._pick_up(dialog))

    def _pick_up(self, dialog: DialogKey) -> None:
        if self.calls[dialog] is At.RINGING and At.UP not in self.calls.values():
            self._say(dialog, "200")
            self._up(dialog)

    def _up(self, dialog: DialogKey) -> None:
        """One is enough: the others are given up or refused."""
        self.calls[dialog] = At.UP
        for other, state in list(self.calls.items()):
            if state is At.CALLING:
                self.give_up(other)
            elif state is At.RINGING:
                self.calls[other] = At.OVER
                self._say(other, "486")

    def _say(self, dialog: DialogKey, message: str) -> None:
        self.world.story.append(f"{self.world.now:.3f} phone {message} {dialog}")
        self.world.on("from the phone", TRUNK_S, lambda: self.world.to_trunk(dialog, message))
