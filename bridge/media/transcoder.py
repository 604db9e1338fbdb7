"""One direction of audio between two codecs: playout, decoder and encoder in a row, driven by a 20 ms clock."""

from bridge.media.coders import FRAME_BYTES, RATE, is_quiet, make_decoder, make_encoder
from bridge.media.formats import Codec
from bridge.media.opus import OpusError
from bridge.media.playout import Piece, PieceKind, PlayoutBuffer
from bridge.media.rtp import RtpPacket

_MOST_PIECES = 16
"""Pieces for one frame: the shortest Opus frame is 2.5 ms, the rest is room for frames that are left out."""


class Transcoder:
    """Takes packets of one codec whenever they come; gives one payload of the other every 20 ms."""

    def __init__(self, source: Codec, target: Codec) -> None:
        self.source, self.target = source, target
        self.playout = PlayoutBuffer(clock_rate=source.clock_rate)
        self._ticks_per_sample = source.clock_rate // RATE
        self._decoder = make_decoder(source)
        self._encoder = make_encoder(target)
        self._ssrc: int | None = None
        self._pcm = bytearray()

    def push(self, packet: RtpPacket, now: float) -> None:
        """Take a packet of audio."""
        self._take(packet, packet.payload, now)

    def account(self, packet: RtpPacket, now: float) -> None:
        """Take the number of a packet that shares the stream but is not audio."""
        self._take(packet, None, now)

    def _take(self, packet: RtpPacket, payload: bytes | None, now: float) -> None:
        if packet.ssrc != self._ssrc:
            self.playout.reset()
            self._ssrc = packet.ssrc
        self.playout.push(sequence=packet.sequence, timestamp=packet.timestamp, payload=payload, now=now)

    def frame(self, now: float) -> bytes | None:
        """The payload that is due, `None` while the source is silent."""
        for _ in range(_MOST_PIECES):
            if len(self._pcm) >= FRAME_BYTES or not self._fill(now):
                break
        if not self._pcm:
            return None
        pcm = bytes(self._pcm[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
        del self._pcm[:FRAME_BYTES]
        return self._encoder.encode(pcm)

    def _fill(self, now: float) -> bool:
        """Add the next piece to the PCM; `False` when none is due."""
        piece = self.playout.next(now)
        if piece.kind is PieceKind.IDLE:
            return False
        pcm = self._render(piece)
        if self.playout.excess_frames and is_quiet(pcm):
            self.playout.excess_frames -= 1
        else:
            self._pcm += pcm
        return True

    def _render(self, piece: Piece) -> bytes:
        samples = piece.ticks // self._ticks_per_sample
        match piece.kind:
            case PieceKind.AUDIO:
                return self._decode(piece.payload)
            case PieceKind.RECOVER if samples * 400 % RATE == 0:
                return self._recover(piece.payload, samples)
            case PieceKind.CONCEAL | PieceKind.RECOVER:
                return self._conceal(samples)
            case _:
                return bytes(2 * samples)

    def _decode(self, payload: bytes) -> bytes:
        """Decode; a payload that is no Opus counts as lost (anyone on the call can send one)."""
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            pcm = self._conceal(FRAME_BYTES // 2)
        self.playout.played(len(pcm) // 2 * self._ticks_per_sample)
        return pcm

    def _recover(self, payload: bytes, samples: int) -> bytes:
        try:
            return self._decoder.recover(payload, samples)
        except OpusError:
            return self._conceal(samples)

    def _conceal(self, samples: int) -> bytes:
        try:
            return self._decoder.conceal(samples)
        except OpusError:
            return bytes(2 * samples)

    def close(self) -> None:
        """Free the codec states."""
        self._decoder.close()
        self._encoder.close()
