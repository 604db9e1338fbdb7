"""One log line per kind and interval, with the number of those left out: a flood must not fill the disk."""

from bridge.core.clock import Clock

INTERVAL_S = 10.0
MAX_KINDS = 64


class Floodgate:
    """Decides which of many equal lines is written."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed_at: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def pass_or_count(self, kind: str) -> int | None:
        """How many were left out since the last one if this one may be written, else `None`."""
        now = self._clock.monotonic()
        last = self._passed_at.get(kind)
        if last is not None and now - last < INTERVAL_S:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        if last is None and len(self._passed_at) >= MAX_KINDS:
            return None
        self._passed_at[kind] = now
        return self._suppressed.pop(kind, 0)
