"""A telemetry that tests can read."""

import threading
from collections import Counter


class CountingTelemetry:
    """Counts by name and labels, from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.gauges: dict[str, float] = {}
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        with self._lock:
            self.counts[name, tuple(sorted(labels.items()))] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        return None

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name] = value

    def total(self, name: str, **labels: str) -> int:
        """Sum over all series that carry these labels."""
        wanted = set(labels.items())
        with self._lock:
            return sum(n for (series, tags), n in self.counts.items() if series == name and wanted <= set(tags))
