"""How many calls a trunk makes by itself for a user whose calls are forwarded. Pure; time is an argument.

Any stranger begins such a call and nobody here sees its end, but the bridge's owner pays for it, and it counts towards
the user's limits. So one caller gets few of them, and all callers of a user together get so many: numbers made up anew
for each call do not help. What is beyond that rings the user, so no call is lost.
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.ids import UserId

DAY_S = 86_400.0
MOST_NOTED = 10_000
"""Forwarded calls of one user that are remembered where there is no limit, and users."""


class NotForwarded(enum.StrEnum):
    """Why a call rings although its user has calls forwarded: one word of a metric each."""

    CIRCLE = "circle"
    """It was forwarded too often already, or comes from the number that it would go to."""
    NOT_PERMITTED = "not_permitted"
    """The user may not call that number, or not over that trunk."""
    CALLER_LIMIT = "caller_limit"
    USER_LIMIT = "user_limit"
    UNPAID = "unpaid"
    """A limit of minutes or money leaves no room for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardLimits:
    """Within a day; 0 is no limit."""

    of_user: int = 100
    of_caller: int = 10
    """Of one caller to one user. All who show no number are one caller."""


class ForwardWatch:
    """Counts what was forwarded within the last day, exactly."""

    def __init__(self, limits: Callable[[], ForwardLimits]) -> None:
        self._limits = limits
        self._users: OrderedDict[UserId, deque[tuple[float, str]]] = OrderedDict()

    def refuses(self, user: UserId, caller: str, now: float) -> NotForwarded | None:
        """Whether one more call of this caller would be one too many; `caller` is empty where no number is shown."""
        limits, noted = self._limits(), self._users.get(user, deque())
        while noted and noted[0][0] <= now - DAY_S:
            noted.popleft()
        if _reached(len(noted), limits.of_user):
            return NotForwarded.USER_LIMIT
        by_caller = sum(known == caller for _, known in noted)
        return NotForwarded.CALLER_LIMIT if _reached(by_caller, limits.of_caller) else None

    def note(self, user: UserId, caller: str, now: float) -> None:
        """One was forwarded."""
        noted = self._users.setdefault(user, deque(maxlen=MOST_NOTED))
        self._users.move_to_end(user)
        noted.append((now, caller))
        if len(self._users) > MOST_NOTED:
            self._users.popitem(last=False)


def _reached(count: int, limit: int) -> bool:
    return limit > 0 and count >= limit
