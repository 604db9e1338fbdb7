"""Time as a dependency: production reads the system's clocks, tests bring their own."""

import time
from datetime import date, datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for durations, one for the calendar."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never set back: for timers and durations."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC: for records and for judging a remote timestamp."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


def local_day(clock: Clock) -> date:
    """The day of this machine's time zone, by which what is allowed for a day is counted."""
    return datetime.fromtimestamp(clock.wall()).astimezone().date()
