"""How long audio must be held back so that late packets are in time: from the spread of what the network takes."""

from collections import deque

FRAME_S = 0.020
MIN_DELAY_S, START_DELAY_S, MAX_DELAY_S = 0.020, 0.060, 0.200
_WINDOW, _STEP = 256, 16
_QUANTILE = 0.99
_MARGIN_S = FRAME_S / 2
_SLOWEST_SHRINK_S = 0.0025
_LOSS_MATTERS_FOR = 500
"""Packets after a loss in which another one is likely: 10 s."""


class PlayoutDelay:
    """The wanted delay after the fastest packet: up at once, down slowly, within its bounds.

    Transit times are arrival minus timestamp, so only their differences mean something; a clock that drifts moves all.
    """

    def __init__(self, *, redundant: bool = False) -> None:
        """`redundant`: what was lost may be in the next packet, which is worth waiting for on a network that loses."""
        self._redundant, self._waits_for_next = redundant, 0
        self.wanted_s = START_DELAY_S
        self._transits: deque[float] = deque(maxlen=_WINDOW)
        self._fastest = 0.0
        self._arrivals = 0

    def measure(self, transit_s: float) -> None:
        """Take the transit time of a packet."""
        if not self._transits or transit_s < self._fastest:
            self._fastest = transit_s
        self._transits.append(transit_s)
        self._arrivals += 1
        self._waits_for_next = max(self._waits_for_next - 1, 0)
        if self._arrivals % _STEP:
            return
        ordered = sorted(self._transits)
        self._fastest = ordered[0]
        spread = ordered[int(_QUANTILE * (len(ordered) - 1))] - ordered[0]
        next_s = FRAME_S if self._waits_for_next else 0.0
        needed = min(max(spread + _MARGIN_S, MIN_DELAY_S) + next_s, MAX_DELAY_S)
        self.wanted_s = max(needed, self.wanted_s - _SLOWEST_SHRINK_S)

    def lost(self) -> None:
        """A packet never came."""
        self._waits_for_next = _LOSS_MATTERS_FOR if self._redundant else 0

    def of(self, transit_s: float) -> float:
        """The delay that audio has which is played this long after its timestamp."""
        return transit_s - self._fastest if self._transits else 0.0

    def forget(self) -> None:
        """Another source, on another clock; what the network is like stays known."""
        self._transits.clear()
