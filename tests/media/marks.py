"""Sound of which every 20 ms say which they are, by two tones of sixteen, so that what was heard can be told apart.

A mark comes through any codec and any resampler. What is made up in the place of a lost one continues the one before,
and so does not pass for it.
"""

from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
"""Mono, full scale is 1."""
MARK_S = 0.020
RATE = 8000
_LENGTH = round(MARK_S * RATE)
_LOW_HZ = 500.0 + 100.0 * np.arange(8)
_HIGH_HZ = 1500.0 + 150.0 * np.arange(8)
_LEVEL = 0.15
_HOP = 20
_CLEAR = 0.5
"""Share of the power of its group that the right tone has in a mark that was heard."""
_NEAR, _UNEVEN_S = 12, 0.1
_EARLY_S = 0.020
"""Nothing is heard before it is said, but clocks of busy machines are read late."""
_AUDIBLE = 0.1 * _LEVEL
_DIFFERENT = 64
"""Marks until they begin again."""
LATEST_S = 0.6
"""No delay is taken for longer: the same mark comes again after 1.28 s."""


def _tones(number: int) -> tuple[int, int]:
    """Both differ from one mark to the next."""
    return number % 8, (3 * number + number // 8) % 8


def make(count: int, rate: int) -> Samples:
    """So many marks, each fading in and out within a millisecond."""
    time = np.arange(round(MARK_S * rate)) / rate
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.001)
    made = []
    for number in range(count):
        low, high = _tones(number % _DIFFERENT)
        tones = np.sin(2 * np.pi * _LOW_HZ[low] * time) + np.sin(2 * np.pi * _HIGH_HZ[high] * time)
        made.append(_LEVEL * edge * tones)
    return np.concatenate(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of marks."""

    at: list[float | None]
    """When each one began in what was heard, in seconds; `None` when it was not."""
    silent: float
    """Share of the time in which there was no sound at all."""


def read(sound: Samples, said_at: list[float]) -> Heard:
    """Find the marks, which were said at these times, in sound at 8 kHz: each is looked for where it may be."""
    if sound.size < _LENGTH:
        return Heard(at=[None] * len(said_at), silent=1.0)
    low, high, power = _spectra(sound)
    found: list[float | None] = []
    for number, said in enumerate(said_at):
        first, last = (max(0, round((said + late) * RATE / _HOP)) for late in (-_EARLY_S, LATEST_S))
        ours = _tones(number % _DIFFERENT)
        clear = np.minimum(low[first:last, ours[0]], high[first:last, ours[1]]) * (power[first:last] > _AUDIBLE**2)
        best = int(np.argmax(clear)) if clear.size else 0
        found.append((first + best) * _HOP / RATE if clear.size and clear[best] > _CLEAR else None)
    found = _plausible(found, said_at)
    begin, end = (round((said + late) * RATE / _HOP) for said, late in ((said_at[0], LATEST_S), (said_at[-1], 0.0)))
    during = power[begin:end]
    return Heard(at=found, silent=float(np.mean(during < _AUDIBLE**2)) if during.size else 1.0)


def _plausible(found: list[float | None], said_at: list[float]) -> list[float | None]:
    """Without those whose delay is not that of their neighbours: two pieces of other marks can look like one."""
    delays = [None if at is None else at - said for at, said in zip(found, said_at, strict=True)]
    kept = []
    for number, delay in enumerate(delays):
        near = [other for other in delays[max(0, number - _NEAR) : number + _NEAR + 1] if other is not None]
        kept.append(found[number] if delay is not None and abs(delay - median(near)) <= _UNEVEN_S else None)
    return kept


def _spectra(sound: Samples) -> tuple[Samples, Samples, Samples]:
    """For every window of a mark's length: the share of each tone in its group, low and high, and the power."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, _LENGTH)[::_HOP]
    time = np.arange(_LENGTH) / RATE
    groups = []
    for pitches in (_LOW_HZ, _HIGH_HZ):
        power = np.abs(windows @ np.exp(-2j * np.pi * np.outer(time, pitches))) ** 2
        groups.append(power / (power.sum(axis=1, keepdims=True) + 1e-12))
    return groups[0], groups[1], np.mean(np.square(windows), axis=1)
