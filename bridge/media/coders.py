"""Decoders and encoders with one face: payloads on one side, 8 kHz mono 16-bit PCM on the other."""

from typing import Protocol

from bridge.media import g711
from bridge.media.concealment import Concealer
from bridge.media.formats import Codec
from bridge.media.opus import OpusDecoder, OpusEncoder
from bridge.media.pcm import to_octets, to_samples

RATE = 8000
FRAME_SAMPLES = 160
FRAME_BYTES = 2 * FRAME_SAMPLES


class Decoder(Protocol):
    """Turns payloads into PCM and makes up for missing ones."""

    def decode(self, packet: bytes) -> bytes:
        """The audio of a payload."""
        ...

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """The audio of a lost payload, from the one after it; `None` of a codec that sends nothing twice."""
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
    """PCMU or PCMA, and what stands in for lost payloads (ITU-T G.711 appendix I)."""

    def __init__(self, codec: Codec) -> None:
        self._expand = g711.ulaw_decode if codec is Codec.PCMU else g711.alaw_decode
        self._concealer = Concealer(RATE)

    def decode(self, packet: bytes) -> bytes:
        return to_octets(self._concealer.hear(to_samples(self._expand(packet))))

    def recover(self, following: bytes, samples: int) -> bytes | None:
        return None

    def conceal(self, samples: int) -> bytes:
        return to_octets(self._concealer.conceal(samples))

    def close(self) -> None:
        return None


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
