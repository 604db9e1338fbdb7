"""Calls in which one side, or neither, is heard: nobody hangs up at once, and nobody else notices."""

from dataclasses import dataclass

from bridge.media.engine import Silent

_SPEAKS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceLimits:
    """How long a side may be silent."""

    first_s: float = 30.0
    """At the beginning: an answering machine may think, and ICE may take its time. 0 is for ever."""
    later_s: float = 15.0
    """Once it was heard. 0 is for ever."""


class SilenceWatch:
    """One call; time is an argument."""

    def __init__(self, limits: SilenceLimits) -> None:
        self.found: Silent | None = None
        """What was recognised first."""
        self._limits = limits
        self._since: float | None = None

    def rest(self) -> None:
        """Nobody owes anything just now: on hold, not connected yet, or talking to somebody else."""
        self._since = None

    def look(self, now: float, *, matrix_heard_at: float | None, sip_heard_at: float | None) -> Silent | None:
        """Whether a side has been silent for too long; told once a call."""
        if self._since is None:
            self._since = now
        if self.found is not None:
            return None
        matrix, sip = (self._is_silent(now, self._since, heard_at) for heard_at in (matrix_heard_at, sip_heard_at))
        if matrix and sip:
            self.found = Silent.BOTH
        elif matrix and _speaks(now, sip_heard_at):
            self.found = Silent.MATRIX
        elif sip and _speaks(now, matrix_heard_at):
            self.found = Silent.SIP
        return self.found

    def _is_silent(self, now: float, since: float, heard_at: float | None) -> bool:
        limit_s = self._limits.first_s if heard_at is None else self._limits.later_s
        return limit_s > 0 and now - max(since, heard_at or since) > limit_s


def _speaks(now: float, heard_at: float | None) -> bool:
    return heard_at is not None and now - heard_at <= _SPEAKS_WITHIN_S
