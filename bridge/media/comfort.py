"""Comfort noise: what a line sounds like while nobody speaks, so that a pause is not taken for a dead call.

Its level is what the source had between its words, or what it says of it (RFC 3389 §3.1). The spectrum is white: that
of RFC 3389 §3.2 is for the receiver to use or not, and of DTX nothing is known.
"""

import math

_LOUDEST = 3_300
"""Mean square, about -55 dBFS: what is louder than this all the time is music, and no noise of a line."""
_RISE = 64
"""The estimate doubles in about a second of something louder, and falls at once."""
_DECIBEL = 0.8912509381337456
_LEVELS = 128


class ComfortNoise:
    """The noise floor of one source."""

    def __init__(self) -> None:
        self._power = _LOUDEST
        self._told: int | None = None
        self._state = 1

    @property
    def _amplitude(self) -> int:
        """Of noise between its bounds, whose mean square is a third of their square."""
        return math.isqrt(3 * min(self._power if self._told is None else self._told, _LOUDEST))

    def hear(self, heard: int) -> None:
        """Learn from the mean square of a stretch of audio."""
        self._power = min(heard, self._power + self._power // _RISE + 1, _LOUDEST)

    def told(self, payload: bytes) -> None:
        """Take the level of an RFC 3389 payload, in decibels below full scale; an empty one says nothing.

        The source knows its own noise better than we do: it is believed until it says something else.
        """
        if payload:
            level = 32767.0
            for _ in range(payload[0] % _LEVELS):
                level *= _DECIBEL
            self._told = int(level * level)

    def samples(self, count: int) -> list[int]:
        """So many samples of noise."""
        amplitude, noise = self._amplitude, []
        if amplitude == 0:
            return [0] * count
        for _ in range(count):
            self._state = (self._state * 1664525 + 1013904223) & 0xFFFFFFFF
            noise.append((((self._state >> 16) - 32768) * amplitude + 16384) >> 15)
        return noise
