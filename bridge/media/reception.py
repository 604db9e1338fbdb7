"""Statistics of the stream that arrives on a leg (RFC 3550 appendices A.3 and A.8), for us and for its sender."""

from bridge.media.rtcp import ReportBlock
from bridge.media.rtp import RtpPacket, sequence_delta, timestamp_delta
from bridge.media.sources import jumps


class Reception:
    """One leg's arriving stream, whatever sources it comes from one after the other."""

    def __init__(self) -> None:
        self.packets = 0
        self.jitter_s = 0.0
        self.ssrc: int | None = None
        self._clock_rate = 8000
        self._earlier_lost = 0
        self._base = 0
        self._highest = 0
        self._received = 0
        self._transit_s: float | None = None
        self._reported_expected = self._reported_received = 0
        self._sender_report: tuple[int, float] | None = None

    def receive(self, packet: RtpPacket, now: float, clock_rate: int | None) -> None:
        """Count a packet; without a clock rate it does not bear on the jitter (repeated event packets)."""
        self.packets += 1
        step = sequence_delta(packet.sequence, self._highest & 0xFFFF)
        if packet.ssrc != self.ssrc or jumps(step):
            self._begin(packet)
        elif step > 0:
            self._highest += step
        self._received += 1
        if clock_rate:
            self._measure(packet.timestamp, now, clock_rate)

    def _begin(self, packet: RtpPacket) -> None:
        self._earlier_lost = self.lost
        self.ssrc = packet.ssrc
        self._base = self._highest = packet.sequence
        self._received = self._reported_expected = self._reported_received = 0
        self._transit_s = self._sender_report = None

    def _measure(self, timestamp: int, now: float, clock_rate: int) -> None:
        """Smoothed difference of transit times (RFC 3550 §6.4.1), immune to wrapping timestamps and another clock."""
        arrival = int(now * clock_rate) & 0xFFFFFFFF
        transit_s = timestamp_delta(arrival, timestamp) / clock_rate
        before = self._transit_s if clock_rate == self._clock_rate else None
        if before is not None and abs(transit_s - before) < 1.0:
            self.jitter_s += (abs(transit_s - before) - self.jitter_s) / 16
        self._transit_s, self._clock_rate = transit_s, clock_rate

    @property
    def lost(self) -> int:
        """Packets that never came, over all sources."""
        return self._earlier_lost + max(self._expected - self._received, 0) if self.ssrc is not None else 0

    @property
    def _expected(self) -> int:
        return self._highest - self._base + 1

    def heard_sender(self, ssrc: int, middle_ntp: int, now: float) -> None:
        """Remember a sender report of this stream, so that its sender can compute the round-trip time."""
        if ssrc == self.ssrc:
            self._sender_report = (middle_ntp, now)

    def block(self, now: float) -> ReportBlock | None:
        """Our report about this stream; `None` before its first packet."""
        if self.ssrc is None:
            return None
        expected = self._expected - self._reported_expected
        lost = expected - (self._received - self._reported_received)
        self._reported_expected, self._reported_received = self._expected, self._received
        middle_ntp, heard_at = self._sender_report or (0, now)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction=min(max(lost, 0) * 256 // expected, 255) if expected > 0 else 0,
            lost=max(min(self._expected - self._received, 0x7FFFFF), -0x800000),
            highest=self._highest & 0xFFFFFFFF,
            jitter=int(self.jitter_s * self._clock_rate) & 0xFFFFFFFF,
            last_report=middle_ntp,
            delay=int((now - heard_at) * 65536) & 0xFFFFFFFF,
        )
