"""Decoders and encoders with one face: payloads on one side, mono 16-bit PCM at 8 or 16 kHz on the other."""

from collections.abc import Callable
from typing import Protocol, assert_never

from bridge.media import g711
from bridge.media.concealment import Concealer
from bridge.media.formats import FRAME_MS, G711, OCTETS_PER_MS, Codec
from bridge.media.g722 import G722Decoder, G722Encoder
from bridge.media.opus import OpusDecoder, OpusEncoder
from bridge.media.opus_wish import OURS, OpusWish
from bridge.media.pcm import to_octets, to_samples

RATE, WIDE_RATE = 8000, 16000
FRAMES_PER_S = 50
FRAME_SAMPLES = 160
FRAME_BYTES = 2 * FRAME_SAMPLES
_SILENT_OCTETS = {Codec.PCMU: g711.SILENCE_ULAW, Codec.PCMA: g711.SILENCE_ALAW, Codec.G722: 0xFE}
_SILENT_OPUS = b"\xf8\xff\xfe"
"""Configuration 31, one frame of 20 ms, mono (RFC 6716 §3.1)."""


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


class WaveformDecoder:
    """A codec that follows the wave, and what stands in for lost payloads (ITU-T G.711 appendix I)."""

    def __init__(self, codec: Codec, rate: int = RATE) -> None:
        self._expand = _expander(codec, rate)
        self._concealer = Concealer(rate)

    def decode(self, packet: bytes) -> bytes:
        return to_octets(self._concealer.hear(to_samples(self._expand(packet))))

    def recover(self, following: bytes, samples: int) -> bytes | None:
        return None

    def conceal(self, samples: int) -> bytes:
        return to_octets(self._concealer.conceal(samples))

    def close(self) -> None:
        return None


def _expander(codec: Codec, rate: int) -> Callable[[bytes], bytes]:
    if codec is Codec.G722:
        return G722Decoder(rate).decode
    return g711.ulaw_decode if codec is Codec.PCMU else g711.alaw_decode


class G711Encoder:
    """PCMU or PCMA."""

    def __init__(self, codec: Codec) -> None:
        self.encode = g711.ulaw_encode if codec is Codec.PCMU else g711.alaw_encode

    def close(self) -> None:
        return None


def common_rate(source: Codec, target: Codec) -> int:
    """The rate between two codecs: that of the poorer one, for nothing is won by more. Opus takes any."""
    return RATE if source in G711 or target in G711 else WIDE_RATE


def make_decoder(codec: Codec, rate: int = RATE) -> Decoder:
    """A fresh decoder; raises :class:`bridge.media.opus.OpusError` when libopus is missing."""
    return OpusDecoder(rate) if codec is Codec.OPUS else WaveformDecoder(codec, rate)


def make_encoder(codec: Codec, rate: int = RATE, wish: OpusWish = OURS) -> Encoder:
    """A fresh encoder; raises :class:`bridge.media.opus.OpusError` when libopus is missing."""
    match codec:
        case Codec.OPUS:
            return OpusEncoder(rate, wish=wish)
        case Codec.G722:
            return G722Encoder(rate)
        case Codec.PCMU | Codec.PCMA:
            return G711Encoder(codec)
        case _:
            assert_never(codec)


def silence(codec: Codec, packet_ms: int = FRAME_MS) -> bytes:
    """A payload of silence that needs no encoder: one octet for all samples, or 20 ms of Opus with nothing in it."""
    return _SILENT_OPUS if codec is Codec.OPUS else bytes((_SILENT_OCTETS[codec],)) * (OCTETS_PER_MS * packet_ms)
