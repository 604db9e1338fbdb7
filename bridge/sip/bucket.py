"""A budget of whatever happens so often per second."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Bucket:
    """A budget that fills at an even rate (a token bucket)."""

    rate: float
    burst: float
    level: float
    at: float

    def take(self, now: float, *, reserve: float = 0.0) -> bool:
        """Spend one if that leaves the reserve, a share of the whole."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1 + reserve * self.burst:
            return False
        self.level -= 1
        return True
