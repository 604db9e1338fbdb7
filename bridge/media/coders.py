"""Decoders and encoders with one face: payloads on one side, 8 kHz mono 16-bit PCM on the other."""

import sys
from array import array
from typing import Protocol

from bridge.media import g711
from bridge.media.formats import Codec
from bridge.media.opus import OpusDecoder, OpusEncoder

RATE = 8000
FRAME_SAMPLES = 160
FRAME_BYTES = 2 * FRAME_SAMPLES
_CONCEALMENT_GAIN = 0.7


class Decoder(Protocol):
    """Turns payloads into PCM and makes up for missing ones."""

    def decode(self, packet: bytes) -> bytes:
        """The audio of a payload."""
        ...

    def recover(self, following: bytes, samples: int) -> bytes:
        """The audio of a lost payload, with the help of the one after it."""
        ...

    def conceal(self, samples: int) -> bytes:
        """Audio in place of a lost payload."""
        ...

    def close(self) -> None:
        """Free what the decoder holds."""
        ...


class Encoder(Protocol):
    """Turns 20 ms of PCM into a payload."""

    def encode(self, pcm: bytes) -> bytes:
        """One payload."""
        ...

    def close(self) -> None:
        """Free what the encoder holds."""
        ...


class G711Decoder:
    """PCMU or PCMA; a lost frame repeats the last one, fading (in the spirit of G.711 appendix I)."""

    def __init__(self, codec: Codec) -> None:
        self._expand = g711.ulaw_decode if codec is Codec.PCMU else g711.alaw_decode
        self._last = b""

    def decode(self, packet: bytes) -> bytes:
        pcm = self._expand(packet)
        self._last = pcm[-FRAME_BYTES:]
        return pcm

    def recover(self, following: bytes, samples: int) -> bytes:
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        self._last = fade(self._last, _CONCEALMENT_GAIN)
        repeated = self._last * (2 * samples // max(len(self._last), 1) + 1) if self._last else bytes(2 * samples)
        return repeated[: 2 * samples]

    def close(self) -> None:
        self._last = b""


class G711Encoder:
    """PCMU or PCMA."""

    def __init__(self, codec: Codec) -> None:
        self.encode = g711.ulaw_encode if codec is Codec.PCMU else g711.alaw_encode

    def close(self) -> None:
        return None


def make_decoder(codec: Codec) -> Decoder:
    """A fresh decoder; raises :class:`bridge.media.opus.OpusError` when libopus is missing."""
    return OpusDecoder() if codec is Codec.OPUS else G711Decoder(codec)


def make_encoder(codec: Codec) -> Encoder:
    """A fresh encoder; raises :class:`bridge.media.opus.OpusError` when libopus is missing."""
    return OpusEncoder() if codec is Codec.OPUS else G711Encoder(codec)


def silence(codec: Codec) -> bytes:
    """20 ms of G.711 silence."""
    return bytes((g711.SILENCE_ALAW if codec is Codec.PCMA else g711.SILENCE_ULAW,)) * FRAME_SAMPLES


def fade(pcm: bytes, gain: float) -> bytes:
    """The same audio, quieter."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    quieter = array("h", [int(sample * gain) for sample in samples])
    if sys.byteorder == "big":
        quieter.byteswap()
    return quieter.tobytes()


def is_quiet(pcm: bytes, threshold: int = 200) -> bool:
    """Whether no sample exceeds the threshold (about -44 dBFS): leaving such a frame out is not heard."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return not samples or (max(samples) < threshold and min(samples) > -threshold)
