"""One direction of audio between two codecs: playout, decoder and encoder in a row, driven by a 20 ms clock."""

from collections import deque

from bridge.media.coders import FRAMES_PER_S, common_rate, make_decoder
from bridge.media.comfort import ComfortNoise
from bridge.media.concealment import power
from bridge.media.ears import Ears
from bridge.media.formats import FRAME_MS, Codec
from bridge.media.opus import OpusError
from bridge.media.opus_wish import OURS, OpusWish
from bridge.media.packing import Packer
from bridge.media.pcm import UNITY, to_octets, to_samples
from bridge.media.playout import Piece, PieceKind, PlayoutBuffer
from bridge.media.rtp import RtpPacket
from bridge.media.timescale import ALIKE, ANYWAY, QUIET_ONLY, lengthened, shortened

_MOST_PIECES = 16
"""Pieces for one frame: the shortest Opus frame is 2.5 ms, the rest is room for frames that are left out."""
_TOO_LATE = ((0.060, ANYWAY), (0.030, ALIKE), (0.015, QUIET_ONLY))
_TOO_EARLY = ((0.012, ANYWAY), (0.005, ALIKE))
"""From which difference on the delay is mended, and at what price: when audio is late there is time to wait for a
pause, and little when it is early, for the next packet may be missing. The longest period, of 15 ms, is left out or
repeated without making the opposite necessary."""
_FRAMES_BETWEEN = 10
"""Speech of which more than one period in 200 ms is gone, or doubled, sounds hurried."""


class Transcoder:
    """Takes packets of one codec whenever they come; gives payloads of the other, of `packet_ms`, by a 20 ms clock."""

    def __init__(
        self,
        source: Codec,
        target: Codec,
        packet_ms: int = FRAME_MS,
        *,
        wish: OpusWish = OURS,
        ears: Ears | None = None,
    ) -> None:
        self.source, self.target, self.packet_ms = source, target, packet_ms
        self.playout = PlayoutBuffer(clock_rate=source.clock_rate, redundant=source is Codec.OPUS)
        self._rate = common_rate(source, target)
        self._frame = self._rate // FRAMES_PER_S
        """Samples of 20 ms."""
        self._decoder = make_decoder(source, self._rate)
        self._packer = Packer(target, self._rate, packet_ms, wish)
        self._noise, self._ears = ComfortNoise(), ears or Ears()
        self._ssrc: int | None = None
        self._pcm = bytearray()
        self._made_up = 0
        """Samples of the gap so far."""
        self._surplus_s: deque[float] = deque(maxlen=_FRAMES_BETWEEN)
        """Of the frames since the delay was mended last."""

    def push(self, packet: RtpPacket, now: float) -> None:
        """Take a packet of audio."""
        self._take(packet, packet.payload, now)

    def account(self, packet: RtpPacket, now: float) -> None:
        """Take the number of a packet that shares the stream but is not audio."""
        self._take(packet, None, now)

    def pause(self, packet: RtpPacket, now: float) -> None:
        """Take comfort noise (RFC 3389): the source pauses, and tells how loud the pause is."""
        self._noise.told(packet.payload)
        self.account(packet, now)

    def _take(self, packet: RtpPacket, payload: bytes | None, now: float) -> None:
        if packet.ssrc != self._ssrc:
            self.playout.reset()
            self._ssrc = packet.ssrc
        self.playout.push(sequence=packet.sequence, timestamp=packet.timestamp, payload=payload, now=now)

    def frame(self, now: float) -> list[bytes] | None:
        """The payloads that are due, `None` while the source is silent."""
        size = 2 * self._frame
        self._gather(now)
        if len(self._pcm) >= size and self._mend_delay():
            self._gather(now)
        if not self._pcm:
            return None
        missing = self._frame - len(self._pcm) // 2
        self._pcm += to_octets(self._noise.samples(missing))
        pcm = bytes(self._pcm[:size])
        del self._pcm[:size]
        return self._packer.pack(pcm)

    def background(self) -> list[bytes]:
        """The payloads of a frame in which nobody speaks."""
        return self._packer.pack(to_octets(self._noise.samples(self._frame)))

    def break_off(self) -> None:
        """Nothing is sent while nobody speaks: what comes next begins a packet."""
        self._packer.forget()

    def _gather(self, now: float) -> None:
        """Add pieces until there is a frame, or none is due."""
        for _ in range(_MOST_PIECES):
            if len(self._pcm) >= 2 * self._frame:
                return
            piece = self.playout.next(now, ahead_s=len(self._pcm) / (2 * self._rate))
            if piece.kind is PieceKind.IDLE:
                return
            self._pcm += self._render(piece)

    def _mend_delay(self) -> bool:
        """Make the frame shorter or longer when the audio is played too late or too early; `True` when it was done."""
        surplus_s = self._steady_surplus_s()
        prices = _TOO_LATE if surplus_s > 0 else _TOO_EARLY
        alike = next((price for difference_s, price in prices if abs(surplus_s) >= difference_s), None)
        if alike is None:
            return False
        change = shortened if surplus_s > 0 else lengthened
        size = 2 * self._frame
        changed = change(to_samples(self._pcm[:size]), self._rate, alike=alike)
        if changed is None:
            return False
        self._pcm[:size] = to_octets(changed)
        self._surplus_s.clear()
        return True

    def _steady_surplus_s(self) -> float:
        """What was too much, or too little, in each of the last frames: a clock that ticks unevenly is no delay."""
        self._surplus_s.append(self.playout.surplus_s)
        least, most = min(self._surplus_s), max(self._surplus_s)
        if len(self._surplus_s) < _FRAMES_BETWEEN or least < 0 < most:
            return 0.0
        return least if least > 0 else most

    def _render(self, piece: Piece) -> bytes:
        samples = self._samples(piece.ticks)
        match piece.kind:
            case PieceKind.AUDIO:
                return self._decode(piece.payload)
            case PieceKind.RECOVER if samples * 400 % self._rate == 0:
                return self._recover(piece.payload, samples)
            case PieceKind.CONCEAL | PieceKind.RECOVER:
                return self._conceal(samples)
            case _:
                return to_octets(self._noise.samples(samples))

    def _samples(self, ticks: int) -> int:
        """How many samples a stretch has: those of G.722 are twice its ticks, those of Opus a third or less."""
        return ticks * self._rate // self.source.clock_rate

    def _decode(self, payload: bytes) -> bytes:
        """Decode; a payload that is no Opus counts as lost (anyone on the call can send one)."""
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            pcm = self._conceal(self._frame)
        else:
            self._made_up = 0
            heard = power(to_samples(pcm))
            self._noise.hear(heard)
            self._ears.hear_power(heard)
        self.playout.played(len(pcm) // 2 * self.source.clock_rate // self._rate)
        return pcm

    def _recover(self, payload: bytes, samples: int) -> bytes:
        try:
            recovered = self._decoder.recover(payload, samples)
        except OpusError:
            recovered = None
        return self._conceal(samples) if recovered is None else recovered

    def _conceal(self, samples: int) -> bytes:
        """Audio that goes on and fades out, while the noise of the line fades in over the first 60 ms."""
        try:
            pcm = self._decoder.conceal(samples)
        except OpusError:
            pcm = bytes(2 * samples)
        made_up, fading = to_samples(pcm), 3 * self._frame
        noise = self._noise.samples(len(made_up))
        for n, sample in enumerate(noise):
            louder = made_up[n] + (sample * min(self._made_up + n, fading) // fading)
            made_up[n] = min(max(louder, -UNITY), UNITY - 1)
        self._made_up += len(made_up)
        return to_octets(made_up)

    def close(self) -> None:
        """Free the codec states."""
        self._decoder.close()
        self._packer.close()
