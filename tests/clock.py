"""Time for tests."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class ManualClock:
    """Stands still until a test moves it."""

    now: float = 100.0
    epoch: float = 0.0
    """What the calendar shows at 0, in seconds since 1970."""

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.epoch + self.now
