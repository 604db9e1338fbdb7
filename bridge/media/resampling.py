"""From 16 kHz to 8 kHz and back, for G.722 that meets G.711.

The filter is that of G.722 itself (ITU-T G.722 table 11): half of its band, -3 dB at 4 kHz, with whole numbers, so that
both packet paths come to the same samples. PCM is little-endian, 16 bits, one channel.
"""

from array import array
from collections.abc import Iterable
from itertools import chain

from bridge.media.pcm import UNITY, dot, to_octets, to_samples

_EVEN = (3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11)
_ODD = tuple(reversed(_EVEN))
_FILTER = tuple(chain.from_iterable(zip(_EVEN, _ODD, strict=True)))
_TAPS, _MEMORY = len(_FILTER), len(_EVEN)
_SCALE_BITS = 13
"""The taps add up to 2 ** 13, and those of each half to a half of that."""


class Halver:
    """Leaves every second sample out, and what 8 kHz cannot carry."""

    def __init__(self) -> None:
        self._before = array("h", bytes(2 * (_TAPS - 2)))

    def halve(self, pcm: bytes) -> bytes:
        """As many samples as there are pairs."""
        samples = self._before + to_samples(pcm)
        self._before = samples[len(samples) - (_TAPS - 2) :]
        starts = range(0, len(samples) - _TAPS + 1, 2)
        return _clipped(dot(_FILTER, samples[n : n + _TAPS]) >> _SCALE_BITS for n in starts)


class Doubler:
    """Puts a sample between any two."""

    def __init__(self) -> None:
        self._before = array("h", bytes(2 * (_MEMORY - 1)))

    def double(self, pcm: bytes) -> bytes:
        """Two samples for each."""
        samples = self._before + to_samples(pcm)
        self._before = samples[len(samples) - (_MEMORY - 1) :]
        doubled = []
        for n in range(len(samples) - _MEMORY + 1):
            window = samples[n : n + _MEMORY]
            doubled.append(dot(_ODD, window) >> _SCALE_BITS - 1)
            doubled.append(dot(_EVEN, window) >> _SCALE_BITS - 1)
        return _clipped(doubled)


def _clipped(values: Iterable[int]) -> bytes:
    return to_octets(min(max(value, -UNITY), UNITY - 1) for value in values)
