"""Passthrough: the same coded audio on both legs, only the header changes."""

from collections import deque

from bridge.media.formats import FRAME_MS
from bridge.media.outbound import WINDOW, OutboundStream
from bridge.media.rtp import RtpPacket, sequence_delta, timestamp_delta
from bridge.media.sources import jumps


class Rewriter:
    """Maps the numbers of whatever source is sending onto our stream.

    Gaps and order are kept, so that the far end's jitter buffer and loss statistics see the network as it was; a change
    of source (transfer, music on hold) goes on without a jump.
    """

    def __init__(self, outbound: OutboundStream, *, clock_rate: int) -> None:
        self._outbound = outbound
        self.clock_rate, self.packet_ms = clock_rate, FRAME_MS
        """Of the stream, and of what may have been sent last; others take effect with the next source."""
        self._ssrc: int | None = None
        self._highest = 0
        self._sequence_offset = 0
        self._timestamp_offset = 0
        self._skipped: deque[int] = deque(maxlen=WINDOW)
        """Numbers that were left out lately; what the source sent before them keeps the place that it had."""

    def follow(self, packet: RtpPacket, now: float) -> bool:
        """Learn where a packet's source stands; `True` when a new source begins."""
        step = sequence_delta(packet.sequence, self._highest)
        if packet.ssrc != self._ssrc or jumps(step):
            self._anchor(packet, now)
            return True
        if step > 0:
            self._highest = packet.sequence
            while self._skipped and sequence_delta(packet.sequence, self._skipped[0]) >= WINDOW:
                self._skipped.popleft()
        return False

    def rewrite(self, packet: RtpPacket, payload: bytes, *, payload_type: int, now: float) -> RtpPacket | None:
        """The packet for the other leg; `None` for one that comes again, or much too late."""
        marker = self.follow(packet, now) or packet.marker
        timestamp = self.timestamp(packet.timestamp)
        return self.place(packet, payload, payload_type=payload_type, timestamp=timestamp, marker=marker, now=now)

    def place(
        self, packet: RtpPacket, payload: bytes, *, payload_type: int, timestamp: int, marker: bool, now: float
    ) -> RtpPacket | None:
        """Converted content under the number that a followed packet has in our stream, if that is still free."""
        if packet.sequence in self._skipped:
            return None
        return self._outbound.place(
            payload,
            payload_type=payload_type,
            timestamp=timestamp,
            marker=marker,
            now=now,
            sequence=self._number(packet.sequence),
        )

    def skip(self, packet: RtpPacket, now: float) -> None:
        """Leave a packet out without a hole that the far end would count as a loss.

        Only the newest one can be: a number after it may have been given already, and must not be given again.
        """
        self.follow(packet, now)
        sequence = packet.sequence
        if sequence != self._highest or sequence in self._skipped:
            return
        if self._outbound.is_ahead(self._number(sequence)):
            self._skipped.append(sequence)
            self._sequence_offset -= 1

    def _number(self, sequence: int) -> int:
        """The number in our stream: those left out count for what came after them alone."""
        later = 0
        if sequence != self._highest or sequence in self._skipped:
            later = sum(sequence_delta(skipped, sequence) >= 0 for skipped in self._skipped)
        return (sequence + self._sequence_offset + later) & 0xFFFF

    def timestamp(self, timestamp: int) -> int:
        """The followed source's time in our stream."""
        return (timestamp + self._timestamp_offset) & 0xFFFFFFFF

    def restart(self) -> None:
        """Take the next packet as the first of a new source: something else was sent meanwhile."""
        self._ssrc = None

    def _anchor(self, packet: RtpPacket, now: float) -> None:
        """Continue our stream with a new source: next number, and as much time as has passed (at least one packet)."""
        outbound, length = self._outbound, self.clock_rate * self.packet_ms // 1000
        start = outbound.position(now, self.clock_rate)
        if outbound.sent_at is not None and timestamp_delta(start, outbound.timestamp) < length:
            start = outbound.timestamp + length
        self._ssrc, self._highest = packet.ssrc, packet.sequence
        self._sequence_offset = outbound.next_sequence - packet.sequence
        self._timestamp_offset = start - packet.timestamp
        self._skipped.clear()
