"""Keys as tones in the audio (ITU-T Q.23), recognised within the limits of ITU-T Q.24.

In blocks of 12.75 ms, by the Goertzel algorithm: a key needs two in a row, which any 40 ms have; one without it is an
interruption, two are its end. Of the limits of Q.24, which differ between networks, those of AT&T are kept: a tone may
be 1.5 % off and not 3.5 %, the lower one 8 dB louder than the upper, the upper one 4 dB louder.
"""

import math
from collections.abc import Iterator, Sequence

_RATE = 8000
_BLOCK = 102
_LOW = (697.0, 770.0, 852.0, 941.0)
_HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = ("123A", "456B", "789C", "*0#D")
_LEAST_POWER = (32768 * 10 ** (-36 / 20)) ** 2 / 2
"""Of each tone: about -33 dBm0."""
_LOW_OVER_HIGH, _HIGH_OVER_LOW = 10**0.95, 10**0.55
"""What a line does to the balance of the two."""
_OVER_OTHERS = 10**0.5
_SHARE = 0.66
"""Of both tones in all that is heard: speech has more beside them."""
_TOO_FAR = 1.05
"""A tone that is nearer to this multiple of its frequency, or its inverse, is another one."""
_OFF = -1


def _coefficients(frequencies: Sequence[float]) -> tuple[float, ...]:
    return tuple(2 * math.cos(2 * math.pi * frequency / _RATE) for frequency in frequencies)


_TONES = _coefficients((*_LOW, *_HIGH))
_SHARPER = _coefficients([f * _TOO_FAR for f in (*_LOW, *_HIGH)])
_FLATTER = _coefficients([f / _TOO_FAR for f in (*_LOW, *_HIGH)])


class ToneDetector:
    """Takes audio as it comes, gives keys as soon as they are sure."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._before = _OFF
        """What the block before was."""
        self._key = _OFF
        """The key that is being pressed."""
        self._missing = 0

    def hear(self, samples: Sequence[int]) -> Iterator[str]:
        """More audio."""
        self._samples.extend(samples)
        while len(self._samples) >= _BLOCK:
            block = self._samples[:_BLOCK]
            del self._samples[:_BLOCK]
            found = self._take(_find(block))
            if found is not None:
                yield found

    def _take(self, found: int) -> str | None:
        """What a block is; a key when it is new."""
        sure, self._before = found == self._before, found
        if found == self._key:
            self._missing = 0
            return None
        self._missing += 1
        if self._missing >= 2:
            self._key = _OFF
        if found == _OFF or not sure:
            return None
        self._key, self._missing = found, 0
        return _KEYS[found >> 2][found & 3]


def _find(block: Sequence[int]) -> int:
    """The key of a block, as four times its row and its column."""
    total = float(sum(sample * sample for sample in block))
    if total < 2 * _LEAST_POWER * _BLOCK:
        return _OFF
    powers = [_power(block, coefficient) for coefficient in _TONES]
    row = max(range(4), key=powers.__getitem__)
    column = max(range(4, 8), key=powers.__getitem__)
    low, high = powers[row], powers[column]
    if min(low, high) < _LEAST_POWER * _BLOCK or low + high < _SHARE * total:
        return _OFF
    if low > high * _LOW_OVER_HIGH or high > low * _HIGH_OVER_LOW:
        return _OFF
    others = max(powers[n] / (low if n < 4 else high) for n in range(8) if n not in (row, column))
    if others * _OVER_OTHERS > 1:
        return _OFF
    for n in (row, column):
        if max(_power(block, _SHARPER[n]), _power(block, _FLATTER[n])) > powers[n]:
            return _OFF
    return 4 * row + column - 4


def _power(block: Sequence[int], coefficient: float) -> float:
    """What one frequency contributes to the sum of squares."""
    last = before = 0.0
    for sample in block:
        last, before = sample + coefficient * last - before, last
    return (last * last + before * before - coefficient * last * before) * 2 / _BLOCK
