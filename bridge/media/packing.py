"""Coded audio in packets of the length that the far end wants, whatever the length of what is heard at a time."""

from bridge.media.coders import make_encoder
from bridge.media.formats import OCTETS_PER_MS, Codec
from bridge.media.opus_wish import OURS, OpusWish


class Packer:
    """Takes PCM, gives payloads: none, one or more at a time.

    An Opus packet is encoded whole; an octet of the other codecs stands for itself, so that a packet may end anywhere.
    """

    def __init__(self, codec: Codec, rate: int, packet_ms: int, wish: OpusWish = OURS) -> None:
        """Raises :class:`bridge.media.opus.OpusError` when libopus is missing."""
        self.packet_ms = packet_ms
        self._encoder = make_encoder(codec, rate, wish)
        self._whole = codec is Codec.OPUS
        self._size = 2 * rate * packet_ms // 1000 if self._whole else OCTETS_PER_MS * packet_ms
        self._begun = bytearray()

    def pack(self, pcm: bytes) -> list[bytes]:
        """The packets that are full."""
        self._begun += pcm if self._whole else self._encoder.encode(pcm)
        packets = []
        while len(self._begun) >= self._size:
            full = bytes(self._begun[: self._size])
            del self._begun[: self._size]
            packets.append(self._encoder.encode(full) if self._whole else full)
        return packets

    def forget(self) -> None:
        """Drop what a packet has begun with: the source pauses, and goes on with something else."""
        self._begun.clear()

    def close(self) -> None:
        """Free the codec's state."""
        self._encoder.close()
