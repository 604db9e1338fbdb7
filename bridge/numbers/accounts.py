"""What users have used on which day, and what those have used together who share a limit.

Only what single users have used is booked. What is used of a shared limit is the sum over those whom it names now, so
that nothing is forgotten when somebody joins them or leaves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from bridge.core.ids import UserId
from bridge.numbers.limits import Limit, Span
from bridge.numbers.permission import belongs


@dataclass(slots=True, kw_only=True)
class Use:
    """Booked on an account on one day."""

    seconds: float = 0.0
    cost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What is to be written down."""

    account: str
    """A user; or all whom a shared limit named, with spaces between, where an earlier version has booked it as one."""
    day: date
    seconds: float
    cost: int


@dataclass(slots=True, kw_only=True)
class _Shared:
    """A shared limit, and what is used of it: added up with each booking, for its users may be those of a server."""

    who: Sequence[str]
    days: dict[date, Use] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Accounts:
    """By name: a user, or `Limit.everybody` of a limit that is shared."""

    _days: dict[str, dict[date, Use]] = field(default_factory=dict)
    _shared: dict[str, _Shared] = field(default_factory=dict)

    def follow(self, limits: Iterable[Limit]) -> None:
        """Add up by other limits from now on, with all that is booked already."""
        self._shared = {limit.everybody: _Shared(who=limit.who) for limit in limits if limit.together}
        for account, days in self._days.items():
            for day, use in days.items():
                self._share(Booking(account=account, day=day, seconds=use.seconds, cost=use.cost))

    def add(self, booking: Booking) -> None:
        """Book something; what is less than nothing is free again."""
        _add(self._days.setdefault(booking.account, {}), booking)
        self._share(booking)

    def _share(self, booking: Booking) -> None:
        for shared in self._shared.values():
            if all(belongs(UserId(user), shared.who) for user in booking.account.split()):
                _add(shared.days, booking)

    def used(self, account: str, span: Span, day: date) -> Use:
        """What is booked on an account this day or month."""
        shared = self._shared.get(account)
        days = self._days.get(account, {}) if shared is None else shared.days
        if span is Span.DAY:
            return days.get(day, Use())
        month = [use for at, use in days.items() if (at.year, at.month) == (day.year, day.month)]
        return Use(seconds=sum(use.seconds for use in month), cost=sum(use.cost for use in month))

    def names(self) -> list[str]:
        """All of them."""
        return list(dict.fromkeys((*self._shared, *self._days)))

    def forget(self, *, before: date) -> None:
        """Let go of days that no limit adds up any more."""
        self._days = {account: left for account, days in self._days.items() if (left := _since(days, before))}
        for shared in self._shared.values():
            shared.days = _since(shared.days, before)


def _since(days: dict[date, Use], before: date) -> dict[date, Use]:
    return {day: use for day, use in days.items() if day >= before}


def _add(days: dict[date, Use], booking: Booking) -> None:
    use = days.setdefault(booking.day, Use())
    use.seconds += booking.seconds
    use.cost += booking.cost
