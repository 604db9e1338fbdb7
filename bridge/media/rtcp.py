"""RTCP of one leg (RFC 3550 §6): what we tell the far end about its stream, and when it last spoke.

Each leg has reports of its own, since the synchronisation sources change between them. Forged or broken packets are
ignored: signalling decides over the call, never a BYE of RTCP.
"""

import struct

from bridge.media.outbound import OutboundStream
from bridge.media.rtp import RtpError, RtpPacket, sequence_delta, timestamp_delta

REPORT_INTERVAL_S = 5.0
_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _BYE = 200, 201, 202, 203
_NTP_EPOCH_S = 2208988800
_RESTART_STEP = 3000
_MOST_PACKETS = 32


def read_sender_report(datagram: bytes) -> int | None:
    """Middle 32 bits of the NTP timestamp of a compound packet's last sender report, to be echoed as LSR.

    Raises :class:`RtpError` when the packet's lengths do not add up.
    """
    middle_ntp: int | None = None
    offset = 0
    for _ in range(_MOST_PACKETS):
        if offset >= len(datagram):
            break
        kind, body = _one(datagram, offset)
        if kind == _SENDER_REPORT and len(body) >= 24:
            middle_ntp = int.from_bytes(body[6:10], "big")
        offset += 4 + len(body)
    return middle_ntp


def _one(datagram: bytes, offset: int) -> tuple[int, bytes]:
    """Packet type and body of the packet at an offset."""
    head = datagram[offset : offset + 4]
    if len(head) < 4 or head[0] >> 6 != 2:
        raise RtpError("not RTCP")
    size = 4 * int.from_bytes(head[2:4], "big")
    body = datagram[offset + 4 : offset + 4 + size]
    if len(body) < size:
        raise RtpError("RTCP length points outside of the datagram")
    return head[1], body


class Reception:
    """Statistics of the stream that arrives on a leg (RFC 3550 appendices A.3 and A.8)."""

    def __init__(self) -> None:
        self.packets = 0
        self.jitter_s = 0.0
        self.ssrc: int | None = None
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
        if packet.ssrc != self.ssrc or abs(step) > _RESTART_STEP:
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
        self._transit_s = None

    def _measure(self, timestamp: int, now: float, clock_rate: int) -> None:
        """Smoothed difference of transit times (RFC 3550 §6.4.1), immune to wrapping timestamps."""
        arrival = int(now * clock_rate) & 0xFFFFFFFF
        transit_s = timestamp_delta(arrival, timestamp) / clock_rate
        if self._transit_s is not None and abs(transit_s - self._transit_s) < 1.0:
            self.jitter_s += (abs(transit_s - self._transit_s) - self.jitter_s) / 16
        self._transit_s = transit_s

    @property
    def lost(self) -> int:
        """Packets that never came, over all sources."""
        return self._earlier_lost + max(self._expected - self._received, 0) if self.ssrc is not None else 0

    @property
    def _expected(self) -> int:
        return self._highest - self._base + 1

    def heard_report(self, middle_ntp: int, now: float) -> None:
        """Remember a sender report, so that its sender can compute the round-trip time."""
        self._sender_report = (middle_ntp, now)

    def block(self, now: float, clock_rate: int) -> bytes:
        """Our report block about this stream; empty before its first packet."""
        if self.ssrc is None:
            return b""
        expected = self._expected - self._reported_expected
        lost = expected - (self._received - self._reported_received)
        self._reported_expected, self._reported_received = self._expected, self._received
        fraction = min(max(lost, 0) * 256 // expected, 255) if expected > 0 else 0
        middle_ntp, heard_at = self._sender_report or (0, now)
        return struct.pack(
            "!IIIIII",
            self.ssrc,
            fraction << 24 | min(self._expected - self._received, 0x7FFFFF) & 0xFFFFFF,
            self._highest & 0xFFFFFFFF,
            int(self.jitter_s * clock_rate) & 0xFFFFFFFF,
            middle_ntp,
            int((now - heard_at) * 65536) & 0xFFFFFFFF,
        )


def write_report(
    outbound: OutboundStream, reception: Reception, *, cname: str, clock_rate: int, now: float, wall: float
) -> bytes:
    """A compound packet: sender report (receiver report before we sent anything) and source description."""
    block = reception.block(now, clock_rate)
    body = struct.pack("!I", outbound.ssrc)
    if outbound.packets:
        body += _sender_information(outbound, clock_rate, now, wall)
    kind = _SENDER_REPORT if outbound.packets else _RECEIVER_REPORT
    return _packet(kind, 1 if block else 0, body + block) + _source_description(outbound.ssrc, cname)


def write_bye(ssrc: int, cname: str) -> bytes:
    """The end of a stream (RFC 3550 §6.6), as a compound packet."""
    source = struct.pack("!I", ssrc)
    return _packet(_RECEIVER_REPORT, 0, source) + _source_description(ssrc, cname) + _packet(_BYE, 1, source)


def _sender_information(outbound: OutboundStream, clock_rate: int, now: float, wall: float) -> bytes:
    seconds = wall + _NTP_EPOCH_S
    return struct.pack(
        "!IIIII",
        int(seconds) & 0xFFFFFFFF,
        int((seconds % 1) * (1 << 32)) & 0xFFFFFFFF,
        outbound.position(now, clock_rate),
        outbound.packets & 0xFFFFFFFF,
        outbound.octets & 0xFFFFFFFF,
    )


def _source_description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name
    return _packet(_SOURCE_DESCRIPTION, 1, item + bytes(4 - len(item) % 4))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
