"""Telemetry of a worker, until the engine takes it over."""

from collections import Counter
from typing import NamedTuple

from bridge.core.telemetry import Telemetry

Series = tuple[str, tuple[tuple[str, str], ...]]
_MOST_OBSERVED = 1000


class Tallied(NamedTuple):
    """What was counted, observed and set since the last time."""

    counts: dict[Series, float]
    observed: list[tuple[Series, float]]
    gauges: dict[Series, float]

    def tell(self, telemetry: Telemetry) -> None:
        """Pass it on."""
        for (name, labels), amount in self.counts.items():
            telemetry.count(name, amount, **dict(labels))
        for (name, labels), value in self.observed:
            telemetry.observe(name, value, **dict(labels))
        for (name, labels), value in self.gauges.items():
            telemetry.gauge(name, value, **dict(labels))


class Tally:
    """Implements :class:`bridge.core.telemetry.Telemetry`."""

    def __init__(self) -> None:
        self._counts: Counter[Series] = Counter()
        self._observed: list[tuple[Series, float]] = []
        self._gauges: dict[Series, float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counts[name, tuple(labels.items())] += amount  # type: ignore[assignment]  # a Counter of floats

    def observe(self, name: str, value: float, **labels: str) -> None:
        if len(self._observed) < _MOST_OBSERVED:
            self._observed.append(((name, tuple(labels.items())), value))

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self._gauges[name, tuple(labels.items())] = value

    def take(self) -> Tallied:
        """Everything since the last time."""
        taken = Tallied(dict(self._counts), self._observed, self._gauges)
        self._counts, self._observed, self._gauges = Counter(), [], {}
        return taken
