"""Test tones: make a sine, measure the level and the pitch of what arrived. Pure Python, for the demo phone and tests.

PCM is little-endian, 16 bits, one channel.
"""

import cmath
import math
from array import array

from bridge.media.pcm import to_octets, to_samples

_FULL_SCALE = 32768.0
_FLOOR_DBFS = -120.0
_LONGEST_WINDOW = 8192


def sine(
    frequency_hz: float, duration_s: float, *, rate: int = 8000, level_dbfs: float = -12.0, start_sample: int = 0
) -> bytes:
    """A sine whose RMS level is `level_dbfs` below that of a full-scale sine; `start_sample` keeps frames in phase."""
    amplitude = (_FULL_SCALE - 1) * 10 ** (level_dbfs / 20)
    step = 2 * math.pi * frequency_hz / rate
    count = round(duration_s * rate)
    return to_octets([round(amplitude * math.sin(step * (start_sample + n))) for n in range(count)])


def level_dbfs(pcm: bytes) -> float:
    """RMS level relative to a full-scale sine: 0 for the loudest sine, -120 for digital silence."""
    samples = to_samples(pcm[: len(pcm) & ~1])
    if not samples:
        return _FLOOR_DBFS
    mean_square = sum(sample * sample for sample in samples) / len(samples)
    if mean_square == 0:
        return _FLOOR_DBFS
    return max(10 * math.log10(2 * mean_square / _FULL_SCALE**2), _FLOOR_DBFS)


def dominant_pitch_hz(pcm: bytes, *, rate: int = 8000) -> float:
    """Frequency of the strongest partial, refined between the bins of the transform; 0 for silence or too little."""
    samples = to_samples(pcm[: len(pcm) & ~1])
    size = min(1 << max(len(samples).bit_length() - 1, 0), _LONGEST_WINDOW)
    if size < 64:
        return 0.0
    offset = (len(samples) - size) // 2
    spectrum = _magnitudes(samples[offset : offset + size], size)
    peak = max(range(1, size // 2 - 1), key=spectrum.__getitem__)
    return (peak + _vertex(spectrum, peak)) * rate / size if spectrum[peak] > 1 else 0.0


def goertzel_dbfs(pcm: bytes, frequency_hz: float, *, rate: int = 8000) -> float:
    """Level of one frequency alone, for telling a tone from the noise around it."""
    samples = to_samples(pcm[: len(pcm) & ~1])
    if not samples:
        return _FLOOR_DBFS
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / rate)
    previous = before = 0.0
    for sample in samples:
        previous, before = sample + coefficient * previous - before, previous
    power = previous * previous + before * before - coefficient * previous * before
    amplitude = 2 * math.sqrt(max(power, 0.0)) / len(samples)
    return max(20 * math.log10(amplitude / _FULL_SCALE), _FLOOR_DBFS) if amplitude else _FLOOR_DBFS


def _magnitudes(samples: "array[int]", size: int) -> list[float]:
    window = [complex(sample * (1 - math.cos(2 * math.pi * n / size)) / 2) for n, sample in enumerate(samples)]
    return [abs(value) for value in _fft(window)[: size // 2]]


def _fft(values: list[complex]) -> list[complex]:
    """Cooley and Tukey's transform for a power of two."""
    size = len(values)
    if size == 1:
        return values
    even, odd = _fft(values[::2]), _fft(values[1::2])
    half = size // 2
    turned = [cmath.exp(-2j * cmath.pi * k / size) * odd[k] for k in range(half)]
    return [even[k] + turned[k] for k in range(half)] + [even[k] - turned[k] for k in range(half)]


def _vertex(spectrum: list[float], peak: int) -> float:
    """Offset of the top of the parabola through a bin and its neighbours, in bins."""
    left, middle, right = (math.log(spectrum[n] + 1e-9) for n in (peak - 1, peak, peak + 1))
    curve = left - 2 * middle + right
    return 0.5 * (left - right) / curve if curve else 0.0
