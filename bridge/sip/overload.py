"""How loaded this process is, in steps that rise quickly and fall slowly (RFC 6357 §5)."""

from bridge.sip.inbound import MAX_TRANSACTIONS

MAX_LEVEL = 3

STRAINED_LAG_S = 0.1
"""An event loop so late is five packets of audio behind."""
RELAXED_LAG_S = 0.05
STRAINED_SHARE = 0.75
"""Of the transactions that are kept at most."""
RELAXED_SHARE = 0.6
RISE_S = 0.5
"""Strained for so long: one step up. A single late moment is no load, and nobody is turned away for it."""
FALL_S = 2.0
"""Without strain for so long: one step down."""


class Overload:
    """The level, 0 to `MAX_LEVEL`. Each level turns away what the one below still takes."""

    def __init__(self) -> None:
        self.level = 0
        self._strained_since: float | None = None
        self._changed_at = float("-inf")

    def note(self, *, lag_s: float, transactions: int, now: float) -> bool:
        """Take a measurement, and say whether the level changed.

        Between strained and relaxed nothing moves; so a load that is just met does not make the level swing.
        """
        share = transactions / MAX_TRANSACTIONS
        if lag_s >= STRAINED_LAG_S or share >= STRAINED_SHARE:
            return self._rise(now)
        self._strained_since = None
        if lag_s < RELAXED_LAG_S and share < RELAXED_SHARE:
            return self._move(-1 if now - self._changed_at >= FALL_S else 0, now)
        return False

    def _rise(self, now: float) -> bool:
        if self._strained_since is None:
            self._strained_since = now
        if now - self._strained_since < RISE_S:
            return False
        self._strained_since = now
        return self._move(1, now)

    def _move(self, step: int, now: float) -> bool:
        before, self.level = self.level, min(MAX_LEVEL, max(0, self.level + step))
        if self.level != before:
            self._changed_at = now
        return self.level != before
