"""Sounds of our own: recordings and silence, encoded once for all calls that play them."""

import abc
import threading
import wave
from collections.abc import Sequence
from pathlib import Path

from av import AudioFrame, AudioResampler

from bridge.media.coders import FRAME_BYTES, RATE, WIDE_RATE, make_encoder, silence
from bridge.media.formats import FRAME_MS, OCTETS_PER_MS, Codec

LONGEST_S = 600


class SoundError(ValueError):
    """A recording that cannot be played."""


class CodedSound(abc.ABC):
    """Audio in frames of 20 ms, in the form of every codec."""

    frame_count: int

    @abc.abstractmethod
    def frames(self, codec: Codec) -> Sequence[bytes]:
        """One payload for each 20 ms."""

    @property
    def duration_ms(self) -> int:
        """How long it takes to play it once."""
        return self.frame_count * FRAME_MS

    def payload(self, codec: Codec, start_ms: int, length_ms: int, *, repeats: bool) -> bytes:
        """What is played from a moment on; beyond the end it begins anew, or is silent.

        An Opus frame can be neither cut nor joined: there, `length_ms` is 20.
        """
        frames = self.frames(codec)
        first, end_ms = start_ms // FRAME_MS, start_ms + length_ms
        if codec is Codec.OPUS:
            return frames[first % len(frames)]
        wanted = range(first, -(-end_ms // FRAME_MS))
        quiet = silence(codec)
        coded = b"".join(frames[n % len(frames)] if repeats or n < len(frames) else quiet for n in wanted)
        return coded[(start_ms - first * FRAME_MS) * OCTETS_PER_MS :][: length_ms * OCTETS_PER_MS]


class Sound(CodedSound):
    """A sound that is encoded here; one object serves any number of calls, on any thread.

    Playing it costs no encoding: each codec's frames are made once, by `prepare` or when they are asked for first.
    """

    def __init__(self, pcm: bytes) -> None:
        """`pcm` is 8000 Hz, one channel, 16 bits; what is left over at its end, less than 20 ms, is not played."""
        whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
        if whole == 0:
            raise SoundError("is shorter than 20 ms")
        self.pcm = pcm[:whole]
        self.frame_count = whole // FRAME_BYTES
        self._encoded: dict[Codec, tuple[bytes, ...]] = {}
        self._encoding = threading.Lock()

    def prepare(self) -> None:
        """Encode for every codec, which takes 12 ms for a second of sound: not on a thread that carries audio."""
        for codec in Codec:
            self.frames(codec)

    def frames(self, codec: Codec) -> tuple[bytes, ...]:
        """One payload for each 20 ms."""
        with self._encoding:
            if codec not in self._encoded:
                self._encoded[codec] = self._encode(codec)
            return self._encoded[codec]

    def _encode(self, codec: Codec) -> tuple[bytes, ...]:
        is_wide = codec is Codec.G722
        pcm, rate = (_widened(self.pcm), WIDE_RATE) if is_wide else (self.pcm, RATE)
        encoder, size = make_encoder(codec, rate), len(pcm) // self.frame_count
        try:
            return tuple(encoder.encode(pcm[start : start + size]) for start in range(0, len(pcm), size))
        finally:
            encoder.close()


def _widened(pcm: bytes) -> bytes:
    """The same at 16 kHz. What carries packets does it frame by frame, and takes three times as long."""
    narrow = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    narrow.planes[0].update(pcm)
    narrow.sample_rate = RATE
    resampler = AudioResampler(format="s16", layout="mono", rate=WIDE_RATE)
    made = [*resampler.resample(narrow), *resampler.resample(None)]
    wide = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in made)
    return wide[: 2 * len(pcm)].ljust(2 * len(pcm), b"\0")


def pause(duration_s: float) -> Sound:
    """Nothing to be heard, for a while."""
    return Sound(bytes(FRAME_BYTES * max(round(duration_s * 1000 / FRAME_MS), 1)))


def read_wav(path: Path, *, longest_s: float = LONGEST_S) -> Sound:
    """A WAV file of telephone audio: 8000 Hz, one channel, 16 bits. Raises :class:`SoundError`."""
    try:
        with wave.open(str(path), "rb") as recording:
            form = (recording.getframerate(), recording.getnchannels(), recording.getsampwidth())
            seconds = recording.getnframes() / max(form[0], 1)
            if form != (RATE, 1, 2):
                raise SoundError("is no WAV file of 8000 Hz, one channel and 16 bits")
            if seconds > longest_s:
                limit = f"{longest_s / 60:g} minutes" if longest_s >= 60 else f"{longest_s:g} seconds"
                raise SoundError(f"is longer than {limit}")
            return Sound(recording.readframes(recording.getnframes()))
    except (OSError, EOFError, wave.Error) as error:
        raise SoundError(f"cannot be read: {error}") from error
