"""RTP packets (RFC 3550 §5.1) and the arithmetic of their wrapping counters."""

import struct
from typing import NamedTuple

_HEADER = struct.Struct("!BBHII")
HEADER_SIZE = _HEADER.size
MAX_DATAGRAM = 1300
"""Longer datagrams are not audio: 60 ms of G.711 is 492 bytes."""


class RtpError(ValueError):
    """Bytes that are not a well-formed RTP or RTCP packet."""


class RtpPacket(NamedTuple):
    """One packet without what does not cross a bridge: CSRCs, header extension and padding.

    A tuple, for two are made for every packet that crosses: a frozen dataclass takes four times as long.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    @classmethod
    def parse(cls, datagram: bytes) -> "RtpPacket":
        """Read a datagram. Raises :class:`RtpError` when a length in it points outside of it."""
        if len(datagram) < HEADER_SIZE:
            raise RtpError("shorter than a header")
        flags, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
        if flags >> 6 != 2:
            raise RtpError("version is not 2")
        plain = flags & 0x3F == 0
        payload = datagram[HEADER_SIZE:] if plain else datagram[_payload_start(datagram) : _payload_end(datagram)]
        return cls(kind & 0x7F, sequence, timestamp, ssrc, payload, kind >= 0x80)

    def __bytes__(self) -> bytes:
        kind = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, kind, self.sequence, self.timestamp, self.ssrc) + self.payload


def _payload_start(datagram: bytes) -> int:
    """Skip the CSRC list and the header extension (RFC 3550 §5.3.1)."""
    start = HEADER_SIZE + 4 * (datagram[0] & 0x0F)
    if datagram[0] & 0x10:
        if len(datagram) < start + 4:
            raise RtpError("extension header is cut off")
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
    if start > _payload_end(datagram):
        raise RtpError("header is longer than the packet")
    return start


def _payload_end(datagram: bytes) -> int:
    """Where padding begins: its last octet says how long it is, itself included."""
    if not datagram[0] & 0x20:
        return len(datagram)
    padding = datagram[-1]
    if padding == 0 or padding > len(datagram) - HEADER_SIZE:
        raise RtpError("padding is longer than the packet")
    return len(datagram) - padding


def is_rtcp(datagram: bytes) -> bool:
    """Whether a packet on a shared port is RTCP: packet types 64 to 95 with the marker bit (RFC 5761 §4)."""
    return len(datagram) >= 2 and 192 <= datagram[1] <= 223


def sequence_delta(later: int, earlier: int) -> int:
    """How many packets `later` lies after `earlier`, negative when it lies before."""
    return (later - earlier + 0x8000 & 0xFFFF) - 0x8000


def timestamp_delta(later: int, earlier: int) -> int:
    """How many clock ticks `later` lies after `earlier`, negative when it lies before."""
    return (later - earlier + 0x80000000 & 0xFFFFFFFF) - 0x80000000
