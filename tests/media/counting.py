"""A telemetry that tests can read."""

import asyncio
import threading
from collections import Counter

from tests.patience import PATIENCE_S


class CountingTelemetry:
    """Counts by name and labels, from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.gauges: dict[str, float] = {}
        self._changed = threading.Condition()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        with self._changed:
            self.counts[name, tuple(sorted(labels.items()))] += int(amount)
            self._changed.notify_all()

    def observe(self, name: str, value: float, **labels: str) -> None:
        return None

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name] = value

    async def until(self, least: int, name: str, **labels: str) -> int:
        """Wait until something was counted this often: some counters are read a few times a second only."""

        def reached() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self.total(name, **labels) >= least, PATIENCE_S)

        assert await asyncio.to_thread(reached), f"{name} stayed at {self.total(name, **labels)}"
        return self.total(name, **labels)

    def total(self, name: str, **labels: str) -> int:
        """Sum over all series that carry these labels."""
        wanted = set(labels.items())
        with self._changed:
            return sum(n for (series, tags), n in self.counts.items() if series == name and wanted <= set(tags))
