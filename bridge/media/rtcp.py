"""RTCP on the wire (RFC 3550 §6): what we send, and what can be read out of what comes.

Forged or broken packets are ignored: signalling decides over the call, never a BYE of RTCP.
"""

import struct
from dataclasses import dataclass

from bridge.media.outbound import OutboundStream
from bridge.media.rtp import RtpError

_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _BYE = 200, 201, 202, 203
_NTP_EPOCH_S = 2208988800
_MOST_PACKETS = 32
_BLOCK = struct.Struct("!IIIIII")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """What a receiver says of one stream (RFC 3550 §6.4.1)."""

    ssrc: int
    lost: int = 0
    """Packets that never came, as one number of 24 bits with a sign: repeated ones count against them."""
    fraction: int = 0
    """Of 256, since the report before."""
    highest: int = 0
    jitter: int = 0
    """In ticks of the stream's clock."""
    last_report: int = 0
    """Middle 32 bits of the NTP time of the sender report that came last; 0 when none did."""
    delay: int = 0
    """How long ago that was, in 65536ths of a second."""

    @classmethod
    def parse(cls, body: bytes, offset: int) -> "ReportBlock":
        """Read the block at an offset; its end must lie within the body."""
        ssrc, losses, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, offset)
        lost = losses & 0xFFFFFF
        return cls(
            ssrc=ssrc,
            lost=lost - 0x1000000 if lost & 0x800000 else lost,
            fraction=losses >> 24,
            highest=highest,
            jitter=jitter,
            last_report=last_report,
            delay=delay,
        )

    def __bytes__(self) -> bytes:
        losses = self.fraction << 24 | self.lost & 0xFFFFFF
        return _BLOCK.pack(self.ssrc, losses, self.highest, self.jitter, self.last_report, self.delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What matters to us of a compound packet."""

    senders: tuple[tuple[int, int], ...] = ()
    """Sources of sender reports with the middle 32 bits of their NTP time."""
    blocks: tuple[ReportBlock, ...] = ()


def read_reports(datagram: bytes) -> Reports:
    """Read a compound packet.

    Raises :class:`RtpError` for one that does not begin with a report, or whose lengths do not add up (RFC 3550
    appendix A.2).
    """
    senders: list[tuple[int, int]] = []
    blocks: list[ReportBlock] = []
    offset = 0
    for number in range(_MOST_PACKETS):
        if offset >= len(datagram) and number:
            break
        kind, count, body = _one(datagram, offset)
        if number == 0 and (kind not in (_SENDER_REPORT, _RECEIVER_REPORT) or datagram[0] & 0x20):
            raise RtpError("RTCP that does not begin with a report")
        if kind in (_SENDER_REPORT, _RECEIVER_REPORT):
            start = 24 if kind == _SENDER_REPORT else 4
            if len(body) < start + count * _BLOCK.size:
                raise RtpError("report blocks point outside of their packet")
            if kind == _SENDER_REPORT:
                senders.append((int.from_bytes(body[:4], "big"), int.from_bytes(body[6:10], "big")))
            blocks += [ReportBlock.parse(body, start + n * _BLOCK.size) for n in range(count)]
        offset += 4 + len(body)
    return Reports(senders=tuple(senders), blocks=tuple(blocks))


def _one(datagram: bytes, offset: int) -> tuple[int, int, bytes]:
    """Packet type, count and body of the packet at an offset."""
    head = datagram[offset : offset + 4]
    if len(head) < 4 or head[0] >> 6 != 2:
        raise RtpError("not RTCP")
    size = 4 * int.from_bytes(head[2:4], "big")
    body = datagram[offset + 4 : offset + 4 + size]
    if len(body) < size:
        raise RtpError("RTCP length points outside of the datagram")
    return head[1], head[0] & 0x1F, body


def middle_ntp(wall: float) -> int:
    """The middle 32 bits of the NTP time."""
    seconds = wall + _NTP_EPOCH_S
    return (int(seconds) & 0xFFFF) << 16 | int((seconds % 1) * (1 << 32)) >> 16


def write_report(
    outbound: OutboundStream, block: ReportBlock | None, *, cname: str, clock_rate: int, now: float, wall: float
) -> bytes:
    """A compound packet: sender report (receiver report before we sent anything) and source description."""
    body = struct.pack("!I", outbound.ssrc)
    if outbound.packets:
        body += _sender_information(outbound, clock_rate, now, wall)
    if block is not None:
        body += bytes(block)
    kind = _SENDER_REPORT if outbound.packets else _RECEIVER_REPORT
    return _packet(kind, 0 if block is None else 1, body) + _source_description(outbound.ssrc, cname)


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
