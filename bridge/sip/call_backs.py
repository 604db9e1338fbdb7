"""Numbers that may be called back although a trunk is at its limits: those that were shown in calls for help."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.core.ids import DialogKey
from bridge.sip.bucket import Bucket

CALL_BACK_S = 3_600.0
"""Whoever has called for help may be called back for so long, whatever would keep other calls from them."""

MAX_CALL_BACKS = 10_000

CALLS_AT_ONCE = 5
CALLS_PER_S = 0.1
"""Of each number: whoever helps redials every few seconds at most, and a flood gets no further than this."""


class _Expected(NamedTuple):
    until: float
    budget: Bucket


@dataclass(slots=True, kw_only=True, eq=False)
class CallBacks:
    """Shared by all trunks: who was called over one may call back over another.

    The time runs from the beginning of a call for help, and once more from its end.
    """

    numbers: OrderedDict[str, _Expected] = field(default_factory=OrderedDict)
    calls: dict[DialogKey, str] = field(default_factory=dict)
    """Calls for help that are not over, and what each has shown."""

    def expect(self, dialog: DialogKey, number: str, now: float) -> None:
        """A call for help was placed; one that shows no number cannot be called back by it."""
        if number:
            self.calls[dialog] = number
            self._expect(number, now)

    def ended(self, dialog: DialogKey, now: float) -> None:
        """A call is over; the time begins anew if it was for help."""
        number = self.calls.pop(dialog, "")
        if number:
            self._expect(number, now)

    def take(self, called: str, now: float) -> bool:
        """Spend one call back to a number, which a trunk may write without its plus."""
        expected = self.numbers.get(called) or self.numbers.get("+" + called)
        return expected is not None and expected.until > now and expected.budget.take(now)

    def _expect(self, number: str, now: float) -> None:
        budget = Bucket(rate=CALLS_PER_S, burst=CALLS_AT_ONCE, level=CALLS_AT_ONCE, at=now)
        self.numbers[number] = _Expected(now + CALL_BACK_S, budget)
        self.numbers.move_to_end(number)
        while len(self.numbers) > MAX_CALL_BACKS or next(iter(self.numbers.values())).until <= now:
            self.numbers.popitem(last=False)
