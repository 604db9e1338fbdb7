"""What a phone hears while the user's client holds it: a recording that repeats, or a tone."""

import wave
from functools import lru_cache
from pathlib import Path

from bridge.media import g711, tones
from bridge.media.coders import FRAME_BYTES, RATE
from bridge.media.formats import Codec

LONGEST_S = 600
_TONE_HZ, _TONE_DBFS = 425.0, -24.0
_TONE_S, _PAUSE_S = 0.2, 4.8


class HoldMusicError(ValueError):
    """A recording that cannot be played."""


class HoldMusic:
    """20 ms frames that repeat; one for all calls, so each held phone comes in at its own moment."""

    def __init__(self, pcm: bytes) -> None:
        whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
        if whole == 0:
            raise HoldMusicError("is shorter than 20 ms")
        self._pcm = memoryview(pcm)[:whole]
        self._frames = whole // FRAME_BYTES

    def payload(self, number: int, codec: Codec) -> bytes:
        """The frame of this number for a phone that speaks `codec`, which is G.711."""
        start = number % self._frames * FRAME_BYTES
        pcm = bytes(self._pcm[start : start + FRAME_BYTES])
        return g711.ulaw_encode(pcm) if codec is Codec.PCMU else g711.alaw_encode(pcm)


@lru_cache(maxsize=1)
def hold_tone() -> HoldMusic:
    """A soft beep every five seconds: the line is not dead (ITU-T E.182, holding tone)."""
    return HoldMusic(tones.sine(_TONE_HZ, _TONE_S, level_dbfs=_TONE_DBFS) + bytes(2 * round(_PAUSE_S * RATE)))


def read_recording(path: Path) -> HoldMusic:
    """A WAV file of telephone audio: 8000 Hz, one channel, 16 bits. Raises :class:`HoldMusicError`."""
    try:
        with wave.open(str(path), "rb") as recording:
            form = (recording.getframerate(), recording.getnchannels(), recording.getsampwidth())
            seconds = recording.getnframes() / max(form[0], 1)
            if form != (RATE, 1, 2):
                raise HoldMusicError("is no WAV file of 8000 Hz, one channel and 16 bits")
            if seconds > LONGEST_S:
                raise HoldMusicError(f"is longer than {LONGEST_S // 60} minutes")
            return HoldMusic(recording.readframes(recording.getnframes()))
    except (OSError, EOFError, wave.Error) as error:
        raise HoldMusicError(f"cannot be read: {error}") from error
