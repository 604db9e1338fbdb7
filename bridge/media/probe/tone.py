"""What a test call says, and what is made of the audio that comes back. Pure: time is an argument.

The tone is 550 Hz: no tone of a telephone network, of a keypad or of a milliwatt test number is near it, it passes
every codec, and no echo canceller is switched off by it (ITU-T G.168). It comes and goes, as speech does.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from bridge.media import tones
from bridge.media.coders import FRAME_BYTES, RATE

PITCH_HZ = 550.0
"""Eleven whole periods in 20 ms: every frame is the same."""
SENT_DBFS = -16.0
"""About -13 dBm0, as loud as people speak."""
AUDIBLE_DBFS = -50.0
"""What is fainter is the noise of a line."""
_PERIOD, _SOUNDING = 50, 35
"""Frames: 700 ms of tone, 300 ms of silence."""
_PURE_DB = 3.0
"""By how much a frame may be louder than the tone in it, and still be the tone."""


@lru_cache(maxsize=1)
def _sounding() -> bytes:
    return tones.sine(PITCH_HZ, FRAME_BYTES / 2 / RATE, rate=RATE, level_dbfs=SENT_DBFS)


def frame(number: int) -> bytes:
    """20 ms of what is said, mono PCM at 8 kHz."""
    return _sounding() if sounds(number) else bytes(FRAME_BYTES)


def sounds(number: int) -> bool:
    """Whether the tone is in a frame."""
    return number % _PERIOD < _SOUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back, in frames of 20 ms."""

    frames: int = 0
    audible: int = 0
    """Louder than the noise of a line."""
    own_tone: int = 0
    """Our own tone: somebody, or something, sends back what it hears."""
    level_dbfs: float | None = None
    """Of the audible ones, against the loudest sine; `None` of silence."""
    own_tone_at: float | None = None
    """When our tone was heard first, on the clock of `ToneEar.hear`."""


class ToneEar:
    """Listens, frame by frame."""

    def __init__(self) -> None:
        self._rest = b""
        self._frames = self._audible = self._own_tone = 0
        self._power = 0.0
        self._own_tone_at: float | None = None

    def hear(self, pcm: bytes, now: float) -> None:
        """More audio, mono PCM at 8 kHz, of whatever length."""
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % FRAME_BYTES
        for start in range(0, whole, FRAME_BYTES):
            self._take(pcm[start : start + FRAME_BYTES], now)
        self._rest = pcm[whole:]

    def _take(self, pcm: bytes, now: float) -> None:
        self._frames += 1
        level = tones.level_dbfs(pcm)
        if level < AUDIBLE_DBFS:
            return
        self._audible += 1
        self._power += 10 ** (level / 10)
        if tones.goertzel_dbfs(pcm, PITCH_HZ, rate=RATE) > level - _PURE_DB:
            self._own_tone += 1
            self._own_tone_at = now if self._own_tone_at is None else self._own_tone_at

    def heard(self) -> Heard:
        """All of it so far."""
        return Heard(
            frames=self._frames,
            audible=self._audible,
            own_tone=self._own_tone,
            level_dbfs=round(10 * math.log10(self._power / self._audible), 1) if self._audible else None,
            own_tone_at=self._own_tone_at,
        )
