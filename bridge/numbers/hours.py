"""Hours of the week as people write them: `mon-fri 9:00-17:00, sat 10:00-13:00`. The local time is an argument."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

MAX_SPANS = 20

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2})\Z")
_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Spans of a week, in minutes since Monday began; one may end in the next week."""

    spans: tuple[tuple[int, int], ...]
    written: str = field(default="", compare=False)
    """As whoever wrote them did."""

    def __str__(self) -> str:
        return self.written

    def cover(self, moment: datetime) -> bool:
        """Whether a local time is within them; the end of a span is not."""
        minute = moment.weekday() * _DAY_MIN + moment.hour * 60 + moment.minute
        return any(begin <= at < end for begin, end in self.spans for at in (minute, minute + _WEEK_MIN))


def parse_hours(text: str) -> Hours:
    """Raises `ValueError` with words for who wrote it.

    Days are English, three letters, every day when there are none; what ends before it begins ends on the next day.
    """
    spans = [span for part in text.lower().split(",") for span in _spans(" ".join(part.split()))]
    if len(spans) > MAX_SPANS * len(_DAYS):
        raise ValueError("that is too much")
    return Hours(spans=tuple(spans), written=text)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    found = _SPAN.match(text)
    if found is None:
        raise ValueError(f"expected hours such as 'mon-fri 9:00-17:00', found '{text}'")
    first, last = found[1] or "mon", found[2] or found[1] or "sun"
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"days are {', '.join(_DAYS)}; found '{text}'")
    begin, end = _minute(found[3], found[4]), _minute(found[5], found[6])
    length = (end - begin) % _DAY_MIN or _DAY_MIN
    for day in _from_to(_DAYS.index(first), _DAYS.index(last)):
        yield day * _DAY_MIN + begin, day * _DAY_MIN + begin + length


def _minute(hour: str, minute: str) -> int:
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > _DAY_MIN:
        raise ValueError(f"there is no {hour}:{minute}")
    return value


def _from_to(first: int, last: int) -> Iterator[int]:
    """`fri-mon` goes over the weekend."""
    for offset in range((last - first) % len(_DAYS) + 1):
        yield (first + offset) % len(_DAYS)
