"""What users have set for themselves, at hand while a phone waits, and what it means for a call to them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import TypedDict, Unpack

import structlog

from bridge.app.forward_book import ForwardBook
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.ids import TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.telemetry import NoTelemetry, Telemetry
from bridge.core.turn import Turn
from bridge.core.verdict import Result, Verdict
from bridge.numbers.forwards import NotForwarded
from bridge.numbers.hours import parse_hours
from bridge.numbers.permission import longest
from bridge.numbers.policy import NumberPlan, Route
from bridge.numbers.refusals import NO_FORWARDING, NO_UNMETERED_CALLS
from bridge.sip.events import IncomingCall
from bridge.store import Store
from bridge.store.people import StoredSettings

log = structlog.get_logger(__name__)

DO_NOT_DISTURB = Verdict(result=Result.CLIENT, reason="do_not_disturb", sip_status=486, q850=17)
"""The called user wants no calls; to the phone that is busy, as it is on every desk phone."""
FORWARDED = Verdict(result=Result.CLIENT, reason="forwarded", sip_status=302)
"""The called user wants calls to go to another number; the trunk makes that call."""

BLOCKED = Verdict(result=Result.POLICY, reason="blocked", sip_status=603, q850=21)
"""The called user, or the configuration, wants no calls from this number (RFC 3261 §21.6.2)."""
ANONYMOUS = Verdict(result=Result.POLICY, reason="anonymous", sip_status=433, q850=21)
"""The called user wants to know who calls (RFC 5079)."""
OUT_OF_HOURS = Verdict(result=Result.CLIENT, reason="out_of_hours", sip_status=480, q850=20)
"""The called user wants no calls at this time of the week."""

MAX_BLOCKED = 1_000
"""Numbers that one user may block."""

MAX_DIVERSIONS = 5
"""A call that was forwarded so often by others rings where it is."""
FORWARDS_AT_ONCE = 5
FORWARD_INTERVAL_S = 10.0
"""A user's calls that are forwarded one after the other without a pause are one call in a circle, which then rings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user has decided beforehand for a call."""

    verdict: Verdict
    forward_to: str = ""


class Changes(TypedDict, total=False):
    """Settings that a user may change: those of `StoredSettings`."""

    do_not_disturb: bool
    forward: str
    ring_when: RingWhen | None
    withheld: bool | None
    hours: str
    refuses_anonymous: bool


class UserSettings:
    """All settings, read once: few users change any, and a call must not wait for the disk.

    `turn` is for changes of users and of programs alike: of two at the same time none is lost.
    """

    def __init__(self, store: Store, turn: Turn) -> None:
        self._store = store
        self.turn = turn
        self._settings: dict[UserId, StoredSettings] = {}
        self._blocked: dict[UserId, set[str]] = {}

    async def load(self) -> None:
        """Learn what is on disk; before that, nobody has set anything."""
        self._settings = await self._store.settings.all()
        for user, number in await self._store.blocked.all():
            self._blocked.setdefault(user, set()).add(number)

    def of(self, user: UserId) -> StoredSettings:
        return self._settings.get(user, StoredSettings())

    def hides_number(self, user: UserId) -> bool | None:
        """Whether those whom a user calls see no number; `None` leaves it to the configuration."""
        return self.of(user).withheld

    async def change(self, user: UserId, **changes: Unpack[Changes]) -> StoredSettings:
        """Set what is given, on disk first; returns all of the user's settings."""
        async with self.turn.taken():
            settings = replace(self.of(user), **changes)
            await self._store.settings.put(user, settings)
            self._settings[user] = settings
            return settings

    async def set_all(self, user: UserId, blocked: Collection[str], **changes: Unpack[Changes]) -> None:
        """Set all of it or nothing, and want no calls from these numbers, `MAX_BLOCKED` at most, and no others."""
        async with self.turn.taken():
            settings = StoredSettings(**changes)
            await self._store.settings.put(user, settings, blocked)
            self._settings[user], self._blocked[user] = settings, set(blocked)

    def blocked(self, user: UserId) -> frozenset[str]:
        """The numbers that a user does not want to be called by."""
        return frozenset(self._blocked.get(user, ()))

    async def block(self, user: UserId, number: str) -> bool:
        """Want no calls from a number; false when the user has blocked as many as one may."""
        async with self.turn.taken():
            mine = self._blocked.setdefault(user, set())
            if number not in mine and len(mine) >= MAX_BLOCKED:
                return False
            await self._store.blocked.put(user, number)
            mine.add(number)
            return True

    async def unblock(self, user: UserId, number: str) -> bool:
        """Let a number through again; false when it was not blocked."""
        async with self.turn.taken():
            if number not in self._blocked.get(user, ()):
                return False
            await self._store.blocked.drop(user, number)
            self._blocked[user].discard(number)
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """Where a user's calls may go instead."""

    number: str
    not_over: tuple[TrunkName, ...] = ()
    """Trunks whose calls ring the user all the same."""


def forwarding(plan: NumberPlan, user: UserId, typed: str, *, may_forward: bool) -> Forwarding | Verdict:
    """What a user's wish to have calls go elsewhere comes to; else the refusal that says most."""
    if not may_forward:
        return NO_UNMETERED_CALLS
    judged = {trunk.name: plan.forward(user, typed, trunk.name) for trunk in plan.trunks}
    refusals = {name: verdict for name, verdict in judged.items() if isinstance(verdict, Verdict)}
    number = next((route.number for route in judged.values() if isinstance(route, Route)), None)
    if number is None:
        return next((verdict for verdict in refusals.values() if verdict is not NO_FORWARDING), NO_FORWARDING)
    return Forwarding(number=number, not_over=tuple(refusals))


class Wishes:
    """Applies a user's settings to a call for that user."""

    def __init__(
        self,
        settings: UserSettings,
        forwards: ForwardBook,
        plan: Callable[[], NumberPlan],
        clock: Clock,
        *,
        pays: Callable[[UserId, Route], bool] = lambda user, route: True,
        blocked: Callable[[], tuple[str, ...]] = tuple,
        time_zone: Callable[[], tzinfo | None] = lambda: None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._clock = clock
        self._pays = pays
        self._blocked = blocked
        self._time_zone = time_zone
        self._telemetry = telemetry or NoTelemetry()
        self._forwards = forwards
        self._turns = Budgets(burst=FORWARDS_AT_ONCE, refill_s=FORWARD_INTERVAL_S)

    def for_call(self, user: UserId, event: IncomingCall) -> Wish | None:
        """`None` rings the user. Forwarding comes before not being disturbed: it disturbs nobody."""
        settings = self._settings.of(user)
        if (refusal := self.refuses(user, event.caller)) is not None:
            return Wish(verdict=refusal)
        if settings.forward and (number := self._forward(user, settings.forward, event)):
            return Wish(verdict=FORWARDED, forward_to=number)
        unwanted = self._unwanted(settings)
        return None if unwanted is None else Wish(verdict=unwanted)

    def for_member(self, user: UserId, caller: str) -> Verdict | None:
        """The same for a user who is rung as one of several: forwarding is for calls of one's own."""
        return self.refuses(user, caller) or self._unwanted(self._settings.of(user))

    def _unwanted(self, settings: StoredSettings) -> Verdict | None:
        if settings.do_not_disturb:
            return DO_NOT_DISTURB
        return None if self._is_within_hours(settings) else OUT_OF_HOURS

    def refuses(self, user: UserId, caller: str) -> Verdict | None:
        """Whether calls and texts of this caller reach the user at no time."""
        number = self._plan().caller_number(caller)
        if not number:
            return ANONYMOUS if self._settings.of(user).refuses_anonymous else None
        return BLOCKED if number in self._settings.blocked(user) else self.blocks(caller)

    def blocks(self, caller: str) -> Verdict | None:
        """Whether the configuration wants no calls of this caller, whoever they are for."""
        number = self._plan().caller_number(caller)
        return BLOCKED if number and longest(self._blocked(), number) else None

    def _is_within_hours(self, settings: StoredSettings) -> bool:
        """What can be written to the store can be read."""
        if not settings.hours:
            return True
        return parse_hours(settings.hours).cover(self.local_time())

    def local_time(self) -> datetime:
        """The moment by which hours are meant."""
        return datetime.fromtimestamp(self._clock.wall(), self._time_zone())

    def _forward(self, user: UserId, number: str, event: IncomingCall) -> str:
        """Where the call goes, if anywhere; else it rings the user."""
        target = self._target(user, number, event)
        outcome = target if isinstance(target, NotForwarded) else "forwarded"
        self._telemetry.count("forwards_total", trunk=event.trunk, outcome=outcome)
        if isinstance(target, NotForwarded):
            log.info("call_not_forwarded", reason=target, trunk=event.trunk, sip_call_id=event.sip_call_id)
            return ""
        return target.number

    def _target(self, user: UserId, number: str, event: IncomingCall) -> Route | NotForwarded:
        """If its trunk still takes it and the user may still call there; never in a circle, nor as often as one likes.

        How long it lasts nobody here will see, so it is paid for beforehand where a limit counts.
        """
        now, caller = self._clock.monotonic(), self._plan().caller_number(event.caller)
        came_back = any(self._plan().user_of(diverter) == user for diverter in event.diverted_from)
        if came_back or len(event.diverted_from) >= MAX_DIVERSIONS:
            return NotForwarded.CIRCLE
        route = self._plan().forward(user, number, event.trunk)
        if not isinstance(route, Route):
            return NotForwarded.NOT_PERMITTED
        if (refusal := self._forwards.refuses(user, caller)) is not None:
            return refusal
        if not self._turns.spend(user, now):
            return NotForwarded.CIRCLE
        if not self._pays(user, route):
            return NotForwarded.UNPAID
        self._forwards.note(user, caller)
        return route
