"""Tones to speak with and measurements of what was heard: the pitch and level that a person would notice."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
"""Mono samples, full scale is 1."""

_SILENCE_DB = -120.0
_PCM16 = 32768.0
_WAV_HEADER_BYTES = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A sine with a level in dB below a full-scale sine."""

    pitch_hz: float
    level_db: float = -12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The loudest pitch of a stretch of sound, and the level of the whole of it."""

    pitch_hz: float
    level_db: float

    def is_like(self, tone: Tone, *, pitch_hz: float = 8.0, level_db: float = 1.5) -> bool:
        """Whether this could be `tone` after a telephone line: right pitch, neither louder nor softer.

        A browser's jitter buffer stretches time a little, which moves a short measurement by some hertz.
        """
        return abs(self.pitch_hz - tone.pitch_hz) <= pitch_hz and abs(self.level_db - tone.level_db) <= level_db


def level_db(samples: Samples) -> float:
    """Level where a full-scale sine is 0 dB (AES17)."""
    power = float(np.mean(np.square(samples))) if samples.size else 0.0
    return max(_SILENCE_DB, 10 * float(np.log10(2 * power + 1e-12)))


def measure(samples: Samples, rate_hz: float) -> Heard:
    """Pitch by FFT of a Hann-windowed stretch, refined by a parabola through the three highest bins."""
    if samples.size < 3 or level_db(samples) <= _SILENCE_DB:
        return Heard(pitch_hz=0.0, level_db=_SILENCE_DB)
    spectrum = _spectrum_db(samples)
    peak = int(np.argmax(spectrum[1:-1])) + 1
    before, top, after = spectrum[peak - 1 : peak + 2]
    bend = before - 2 * top + after
    offset = 0.0 if bend == 0 else 0.5 * (before - after) / bend
    return Heard(pitch_hz=float((peak + offset) * rate_hz / samples.size), level_db=level_db(samples))


def level_near(samples: Samples, rate_hz: float, pitch_hz: float, *, width_hz: float = 20.0) -> float:
    """Level of what lies within `width_hz` of `pitch_hz`: whether somebody is mixed in who should not be."""
    window = np.hanning(samples.size)
    spectrum = np.abs(np.fft.rfft(samples * window)) ** 2
    pitches = np.fft.rfftfreq(samples.size, 1 / rate_hz)
    near = spectrum[np.abs(pitches - pitch_hz) <= width_hz].sum()
    power = 2 * float(near) / (samples.size * float(np.sum(window**2)))
    return max(_SILENCE_DB, 10 * float(np.log10(2 * power + 1e-12)))


def likeness(heard: Samples, wanted: Samples) -> float:
    """How much the stretch of `heard` that is most like `wanted` is like it: 1 is the same, however loud."""
    if heard.size < wanted.size:
        return 0.0
    loudness = np.sqrt(np.convolve(np.square(heard), np.ones(wanted.size), mode="valid"))
    products = np.correlate(heard, wanted, mode="valid")
    return float(np.max(products / (loudness * np.linalg.norm(wanted) + 1e-9)))


def sine(tone: Tone, *, rate_hz: int, seconds: float) -> Samples:
    """`tone` as samples."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    result: Samples = 10 ** (tone.level_db / 20) * np.sin(2 * np.pi * tone.pitch_hz * times)
    return result


def write_wav(path: Path, samples: Samples, *, rate_hz: int) -> Path:
    """A mono 16-bit WAV file."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(np.clip(samples * _PCM16, -_PCM16, _PCM16 - 1).astype("<i2").tobytes())
    return path


def recorded_rate_hz(path: Path) -> int:
    """Samples per second of a recording, as its header has them (RIFF, `fmt `)."""
    return int.from_bytes(path.read_bytes()[24:28], "little")


def recorded_so_far(path: Path) -> Samples:
    """The first channel of a 16-bit recording that may still be growing: its header does not know the length yet."""
    recording = path.read_bytes()
    channels, content = int.from_bytes(recording[22:24], "little"), recording[_WAV_HEADER_BYTES:]
    samples = np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2")
    return samples[:: max(channels, 1)].astype(np.float64) / _PCM16


def _spectrum_db(samples: Samples) -> Samples:
    magnitudes = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    result: Samples = 20 * np.log10(magnitudes + 1e-9)
    return result
