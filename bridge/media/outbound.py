"""The RTP stream that we send on one leg: one SSRC, whose counters never jump, whatever feeds it."""

from bridge.core.entropy import Entropy
from bridge.media.rtp import RtpPacket, sequence_delta, timestamp_delta


class OutboundStream:
    """Numbers packets of one synchronisation source (RFC 3550 §5.1): random start values, one counter for all feeds."""

    def __init__(self, entropy: Entropy) -> None:
        self.ssrc = entropy.integer(1, 0xFFFFFFFF)
        self.packets = 0
        self.octets = 0
        self.timestamp = entropy.integer(0, 0xFFFFFFFF)
        """Timestamp of the newest packet, and the moment it was sent: the two anchor every later one."""
        self.sent_at: float | None = None
        self._sequence = entropy.integer(0, 0x7FFF)

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
        return self.place(
            payload,
            payload_type=payload_type,
            timestamp=timestamp,
            marker=marker,
            now=now,
            sequence=self.next_sequence,
        )

    def place(
        self, payload: bytes, *, payload_type: int, timestamp: int, marker: bool, now: float, sequence: int
    ) -> RtpPacket:
        """A packet with a number of its own: after a gap for a packet that was lost, or late."""
        if sequence_delta(sequence, self._sequence) > 0:
            self._sequence = sequence
            if self.sent_at is None or timestamp_delta(timestamp, self.timestamp) >= 0:
                self.timestamp, self.sent_at = timestamp, now
        self.packets += 1
        self.octets += len(payload)
        return RtpPacket(
            payload_type=payload_type,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
        )
