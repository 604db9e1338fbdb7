"""The RTP stream that we send on one leg: one SSRC, whose counters never jump, whatever feeds it."""

from typing import Self

from bridge.core.entropy import Entropy
from bridge.media.rtp import RtpPacket, sequence_delta, timestamp_delta

WINDOW = 128
"""Packets that come out of order by more than this are of no use to anybody."""


class OutboundStream:
    """Numbers packets of one synchronisation source (RFC 3550 §5.1): random start values, one counter for all feeds.

    No number is given twice: SRTP would encrypt both packets with the same keystream, and their difference be readable
    by anyone (RFC 3711 §9.1).
    """

    def __init__(self, entropy: Entropy) -> None:
        self.ssrc = entropy.integer(1, 0xFFFFFFFF)
        self.packets = 0
        self.octets = 0
        self.timestamp = entropy.integer(0, 0xFFFFFFFF)
        """Timestamp of the newest packet, and the moment it was sent: the two anchor every later one."""
        self.sent_at: float | None = None
        self._sequence = entropy.integer(0, 0x7FFF)
        self._used = 0
        """Bit n: the number n before the newest was given."""

    @classmethod
    def beginning(cls, begins: tuple[int, int, int], entropy: Entropy) -> Self:
        """The stream that another process has chosen the start of."""
        stream = cls(entropy)
        stream.ssrc, stream.timestamp, stream._sequence = begins
        return stream

    @property
    def begins(self) -> tuple[int, int, int]:
        """SSRC, timestamp and sequence number of a stream of which nothing was sent."""
        return self.ssrc, self.timestamp, self._sequence

    @property
    def next_sequence(self) -> int:
        """The number after the newest packet's."""
        return (self._sequence + 1) & 0xFFFF

    def position(self, now: float, clock_rate: int) -> int:
        """Where the audio timeline stands at `now`."""
        if self.sent_at is None:
            return self.timestamp
        return (self.timestamp + round(max(now - self.sent_at, 0.0) * clock_rate)) & 0xFFFFFFFF

    def append(self, payload: bytes, *, payload_type: int, timestamp: int, marker: bool, now: float) -> RtpPacket:
        """The next packet of the stream."""
        packet = self._packet(payload, payload_type, self.next_sequence, timestamp, marker=marker)
        self._advance(packet, 1, now)
        return self._counted(packet)

    def place(
        self, payload: bytes, *, payload_type: int, timestamp: int, marker: bool, now: float, sequence: int
    ) -> RtpPacket | None:
        """A packet with a number of its own: after a gap for a packet that was lost, or late.

        `None` when the number was given before, or lies so far back that nobody knows any more.
        """
        packet = self._packet(payload, payload_type, sequence, timestamp, marker=marker)
        step = sequence_delta(sequence, self._sequence)
        if step > 0:
            self._advance(packet, step, now)
        elif step <= -WINDOW or self._used >> -step & 1:
            return None
        self._used |= 1 << max(-step, 0)
        return self._counted(packet)

    def is_ahead(self, sequence: int) -> bool:
        """Whether a number comes after all that were given."""
        return sequence_delta(sequence, self._sequence) > 0

    def _packet(self, payload: bytes, payload_type: int, sequence: int, timestamp: int, *, marker: bool) -> RtpPacket:
        return RtpPacket(payload_type, sequence, timestamp, self.ssrc, payload, marker)

    def _advance(self, packet: RtpPacket, step: int, now: float) -> None:
        """The newest packet of the stream is another one."""
        self._sequence = packet.sequence
        self._used = (self._used << min(step, WINDOW) | 1) & (1 << WINDOW) - 1
        if self.sent_at is None or timestamp_delta(packet.timestamp, self.timestamp) >= 0:
            self.timestamp, self.sent_at = packet.timestamp, now

    def _counted(self, packet: RtpPacket) -> RtpPacket:
        self.packets += 1
        self.octets += len(packet.payload)
        return packet
