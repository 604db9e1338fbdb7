"""16-bit PCM as numbers: what the codecs exchange is little-endian octets, whatever the machine."""

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from operator import mul

UNITY = 1 << 15
"""1.0 of the fixed-point gains: all arithmetic on samples is in whole numbers, the same in both packet paths."""


def to_samples(pcm: bytes | bytearray) -> "array[int]":
    """The samples of octets."""
    samples = array("h", bytes(pcm))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_octets(samples: Iterable[int]) -> bytes:
    """The octets of samples."""
    octets = array("h", samples)
    if sys.byteorder == "big":
        octets.byteswap()
    return octets.tobytes()


def dot(left: Sequence[int], right: Sequence[int]) -> int:
    """The sum of products, of as many samples as the shorter one has."""
    return sum(map(mul, left, right))


def likeness(left: Sequence[int], right: Sequence[int], least_power: int) -> float:
    """Their correlation over the amplitude of `right`: the greater, the better `right` continues as `left` does."""
    return dot(left, right) / math.sqrt(max(dot(right, right), least_power))


def crossfade(old: Sequence[int], new: Sequence[int]) -> list[int]:
    """From one to the other in a straight line, over their common length."""
    steps = min(len(old), len(new)) + 1
    weights = (UNITY * n // steps for n in range(1, steps))
    return [(a * (UNITY - w) + b * w) >> 15 for a, b, w in zip(old, new, weights, strict=False)]
