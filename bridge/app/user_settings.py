"""What users have set for themselves, at hand while a phone waits, and what it means for a call to them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.presence import RingWhen
from bridge.core.verdict import Result, Verdict
from bridge.numbers.policy import NumberPlan, Route
from bridge.sip.events import IncomingCall
from bridge.store import Store
from bridge.store.people import StoredSettings

DO_NOT_DISTURB = Verdict(result=Result.CLIENT, reason="do_not_disturb", sip_status=486, q850=17)
"""The called user wants no calls; to the phone that is busy, as it is on every desk phone."""
FORWARDED = Verdict(result=Result.CLIENT, reason="forwarded", sip_status=302)
"""The called user wants calls to go to another number; the trunk makes that call."""

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


class UserSettings:
    """All settings, read once: few users change any, and a call must not wait for the disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settings: dict[UserId, StoredSettings] = {}

    async def load(self) -> None:
        """Learn what is on disk; before that, nobody has set anything."""
        self._settings = await self._store.settings.all()

    def of(self, user: UserId) -> StoredSettings:
        return self._settings.get(user, StoredSettings())

    async def change(
        self,
        user: UserId,
        *,
        do_not_disturb: bool | None = None,
        forward: str | None = None,
        ring_when: RingWhen | None = None,
        withheld: bool | None = None,
    ) -> StoredSettings:
        """Set what is given, on disk first; returns all of the user's settings."""
        settings = self.of(user)
        if do_not_disturb is not None:
            settings = replace(settings, do_not_disturb=do_not_disturb)
        if forward is not None:
            settings = replace(settings, forward=forward)
        if ring_when is not None:
            settings = replace(settings, ring_when=ring_when)
        if withheld is not None:
            settings = replace(settings, withheld=withheld)
        await self._store.settings.put(user, settings)
        self._settings[user] = settings
        return settings


class Wishes:
    """Applies a user's settings to a call for that user."""

    def __init__(
        self,
        settings: UserSettings,
        plan: NumberPlan,
        clock: Clock,
        *,
        may_spend: Callable[[UserId], bool] = lambda user: True,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._clock = clock
        self._may_spend = may_spend
        self._forwards = Budgets(burst=FORWARDS_AT_ONCE, refill_s=FORWARD_INTERVAL_S)

    def for_call(self, user: UserId, event: IncomingCall) -> Wish | None:
        """Forwarding comes before not being disturbed: it disturbs nobody. `None` rings the user."""
        settings = self._settings.of(user)
        if settings.forward and (number := self._target(user, settings.forward, event)):
            return Wish(verdict=FORWARDED, forward_to=number)
        return Wish(verdict=DO_NOT_DISTURB) if settings.do_not_disturb else None

    def _target(self, user: UserId, number: str, event: IncomingCall) -> str:
        """Where the call goes, if its trunk still takes it and the user may still call there; never in a circle.

        What it will cost nobody can meter, so it must not begin when nothing is left.
        """
        came_back = any(self._plan.user_of(diverter) == user for diverter in event.diverted_from)
        if came_back or len(event.diverted_from) >= MAX_DIVERSIONS or not self._may_spend(user):
            return ""
        route = self._plan.forward(user, number, event.trunk)
        if not isinstance(route, Route) or not self._forwards.spend(user, self._clock.monotonic()):
            return ""
        return route.number
