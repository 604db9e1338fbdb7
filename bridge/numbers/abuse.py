"""How fraud dials: patterns that no person makes, after which a user's calls are suspended. Pure; time is an argument.

A stolen account is used to call ranges that pay the thief: number after number of one range, many countries within the
hour, or calls that are dropped after a ring so that people call back what they do not know (Wangiri).
"""

import enum
import itertools
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import phonenumbers

from bridge.core.ids import UserId

COUNTRIES_WITHIN_S = 3_600.0
DIALLED_WITHIN_S = 600.0
SHORT_CALL_S = 10.0
"""Talk shorter than this, or none at all, lures people into calling back."""
NEIGHBOURS = 10
"""Numbers that differ by no more are next to each other."""
_REMEMBERED = 200
"""Calls of one user."""
_MAX_USERS = 10_000


class Suspicion(enum.StrEnum):
    """What it looks like."""

    COUNTRIES = "countries"
    SEQUENTIAL = "sequential"
    WANGIRI = "wangiri"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From how many on; 0 looks away."""

    countries: int = 8
    """Countries called within an hour."""
    sequential: int = 10
    """Numbers next to each other, called within ten minutes."""
    short_calls: int = 20
    """Different numbers called within ten minutes and let go at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """A number that a user has called."""

    number: str
    country: str
    at: float


@dataclass(slots=True, kw_only=True)
class History:
    """What one user has done lately."""

    dialled: deque[Dialled] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    short: deque[Dialled] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Watch:
    """Looks at every call of every user; emergency calls are none of its business."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._users: OrderedDict[UserId, History] = OrderedDict()

    def follow(self, thresholds: Thresholds) -> None:
        """Judge by others from now on."""
        self._thresholds = thresholds

    def dialled(self, user: UserId, number: str, now: float) -> Suspicion | None:
        """A user calls a number."""
        history = self._of(user)
        history.dialled.append(Dialled(number=number, country=_country(number), at=now))
        recent = [call for call in history.dialled if call.at > now - COUNTRIES_WITHIN_S]
        if _reached(len({call.country for call in recent} - {""}), self._thresholds.countries):
            return Suspicion.COUNTRIES
        lately = {call.number for call in recent if call.at > now - DIALLED_WITHIN_S}
        if _reached(_longest_run(lately), self._thresholds.sequential):
            return Suspicion.SEQUENTIAL
        return None

    def ended(self, user: UserId, number: str, *, talked_s: float, by_caller: bool, now: float) -> Suspicion | None:
        """The call is over. One that the called party ended, or that rang on unanswered, lures nobody."""
        if not by_caller or talked_s >= SHORT_CALL_S:
            return None
        history = self._of(user)
        history.short.append(Dialled(number=number, country="", at=now))
        lately = {call.number for call in history.short if call.at > now - DIALLED_WITHIN_S}
        return Suspicion.WANGIRI if _reached(len(lately), self._thresholds.short_calls) else None

    def forget(self, user: UserId) -> None:
        """An administrator has looked at it."""
        self._users.pop(user, None)

    def _of(self, user: UserId) -> History:
        history = self._users.setdefault(user, History())
        self._users.move_to_end(user)
        if len(self._users) > _MAX_USERS:
            self._users.popitem(last=False)
        return history


def _reached(count: int, threshold: int) -> bool:
    return threshold > 0 and count >= threshold


def _country(number: str) -> str:
    """The region of a number, or at least its country code; nothing for short codes."""
    if not number.startswith("+"):
        return ""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number[:4]
    return phonenumbers.region_code_for_number(parsed) or f"+{parsed.country_code}"


def _longest_run(numbers: set[str]) -> int:
    """How many of these are next to each other."""
    values = sorted(int(number) for number in numbers if number.startswith("+"))
    longest = run = min(1, len(values))
    for before, value in itertools.pairwise(values):
        run = run + 1 if value - before <= NEIGHBOURS else 1
        longest = max(longest, run)
    return longest
