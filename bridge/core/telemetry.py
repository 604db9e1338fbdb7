"""How every layer counts what it does without knowing who collects it."""

from typing import Protocol


class Telemetry(Protocol):
    """Metrics by name (without the `trunkline_` prefix); names and label sets are declared in `bridge.ops.metrics`.

    Label values come from closed sets: never a user, a room, a number or a Call-ID.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one value of a distribution, in base units (seconds, bytes)."""
        ...

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a level."""
        ...


class NoTelemetry:
    """Counts nothing: for tools that have no ops port."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        return None

    def observe(self, name: str, value: float, **labels: str) -> None:
        return None

    def gauge(self, name: str, value: float, **labels: str) -> None:
        return None
