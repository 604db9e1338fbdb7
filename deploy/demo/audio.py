"""Tones to send, and ears that say what they hear: level and pitch.

PCM is what the telephone network carries: little-endian, 16 bits, one channel, 8 000 samples a second. Levels are in
dBFS, where 0 is a sine at full scale.
"""

import asyncio
import sys
from array import array
from dataclasses import dataclass

from bridge.media.tones import dominant_pitch_hz, level_dbfs, sine

RATE_HZ = 8000
FRAME_SAMPLES = 160
"""20 ms, the packet time of RTP on the telephone network (RFC 3551 §4.2)."""

_FRAME_S = FRAME_SAMPLES / RATE_HZ
_LISTEN_AGAIN_S = 0.25
_PITCH_TOLERANCE = 0.02
_LEVEL_TOLERANCE_DB = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an ear heard over its last half second."""

    pitch_hz: float
    level_dbfs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A sine wave as it is sent."""

    pitch_hz: float
    level_dbfs: float

    def frame(self, index: int) -> bytes:
        """The PCM of the 20 ms with this index; frames follow each other without a click."""
        start = index * FRAME_SAMPLES
        return sine(self.pitch_hz, _FRAME_S, rate=RATE_HZ, level_dbfs=self.level_dbfs, start_sample=start)

    def matches(self, heard: Heard | None) -> bool:
        """Whether this tone is what was heard: its pitch to 2 %, its level to 6 dB."""
        if heard is None:
            return False
        right_pitch = abs(heard.pitch_hz - self.pitch_hz) <= _PITCH_TOLERANCE * self.pitch_hz
        return right_pitch and abs(heard.level_dbfs - self.level_dbfs) <= _LEVEL_TOLERANCE_DB


class Ear:
    """Keeps the last half second of what comes in and measures it on request."""

    WINDOW_SAMPLES = 4096
    """0.512 s, a power of two for the transform."""

    def __init__(self) -> None:
        self._pcm = bytearray()

    def hear(self, pcm: bytes) -> None:
        """Take telephone PCM."""
        self._pcm += pcm
        del self._pcm[: -2 * self.WINDOW_SAMPLES]

    def level_dbfs(self) -> float:
        """The level of what is in the window, which costs little."""
        return level_dbfs(bytes(self._pcm))

    def measure(self) -> Heard | None:
        """Pitch and level of the window, in about 20 ms; `None` until the window is full."""
        if len(self._pcm) < 2 * self.WINDOW_SAMPLES:
            return None
        window = bytes(self._pcm)
        return Heard(pitch_hz=dominant_pitch_hz(window, rate=RATE_HZ), level_dbfs=level_dbfs(window))


async def listen_for(tone: Tone, ear: Ear, *, within_s: float) -> Heard | None:
    """What is heard once it is the tone, else what is heard at the end of the time for it."""
    heard: Heard | None = None
    for _ in range(max(1, round(within_s / _LISTEN_AGAIN_S))):
        heard = ear.measure()
        if tone.matches(heard):
            break
        await asyncio.sleep(_LISTEN_AGAIN_S)
    return heard


def to_telephone(pcm: bytes, *, rate_hz: int, channels: int) -> bytes:
    """Interleaved PCM of a multiple of 8 000 Hz as telephone PCM: the first channel, neighbours averaged."""
    samples = _swapped(array("h", pcm[: len(pcm) & ~1]))[::channels]
    ratio = max(1, rate_hz // RATE_HZ)
    averaged = (sum(samples[n : n + ratio]) // ratio for n in range(0, len(samples) - ratio + 1, ratio))
    return _swapped(array("h", averaged)).tobytes()


def _swapped(samples: "array[int]") -> "array[int]":
    """Between this machine's byte order and little-endian."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
