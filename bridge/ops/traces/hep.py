"""Copies of SIP messages for a Homer server: HEP version 3 over UDP (hep3_rev11, "EEP").

Packets are sent where they are collected: never on the way of a call, never waited for.
"""

import ipaddress
import socket
import struct
from dataclasses import dataclass, field

from bridge.core.addresses import IpAddress, address_of
from bridge.ops.traces.sorter import Sighting

_PROTOCOLS = {"udp": socket.IPPROTO_UDP, "tcp": socket.IPPROTO_TCP, "tls": socket.IPPROTO_TCP}
_SIP = 1
"""Chunk 11, the type of what is captured."""
_MAX_PAYLOAD = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HepSettings:
    """Where copies go, and as whose."""

    host: str
    port: int
    capture_id: int = 1
    password: str = field(default="", repr=False)


def encode(sighting: Sighting, *, capture_id: int, password: str = "") -> bytes:
    """One packet: `HEP3`, its length, and chunks of vendor 0 (the generic ones), each with type and length."""
    message = sighting.message
    source, target = (message.local, message.remote) if message.outgoing else (message.remote, message.local)
    source_host, target_host = _addresses(source[0], target[0])
    ipv6 = source_host.version == 6
    chunks = [
        _chunk(1, struct.pack("!B", socket.AF_INET6 if ipv6 else socket.AF_INET)),
        _chunk(2, struct.pack("!B", _PROTOCOLS.get(message.transport, socket.IPPROTO_UDP))),
        _chunk(5 if ipv6 else 3, source_host.packed),
        _chunk(6 if ipv6 else 4, target_host.packed),
        _chunk(7, struct.pack("!H", source[1])),
        _chunk(8, struct.pack("!H", target[1])),
        _chunk(9, struct.pack("!I", int(message.at))),
        _chunk(10, struct.pack("!I", int(message.at % 1 * 1_000_000))),
        _chunk(11, struct.pack("!B", _SIP)),
        _chunk(12, struct.pack("!I", capture_id)),
        *([_chunk(14, password.encode())] if password else []),
        _chunk(15, sighting.payload[:_MAX_PAYLOAD]),
        _chunk(17, sighting.call.encode(errors="replace")[:255]),
    ]
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", len(body) + 6) + body


def _chunk(kind: int, content: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, len(content) + 6) + content


def _addresses(source: str, target: str) -> tuple[IpAddress, IpAddress]:
    """Both of one family; what is no address, or of the other family, is the unspecified one."""
    parsed = [address_of(source), address_of(target)]
    version = next((ip.version for ip in parsed if ip is not None and not ip.is_unspecified), 4)
    nobody: IpAddress = ipaddress.IPv6Address(0) if version == 6 else ipaddress.IPv4Address(0)
    first, second = (ip if ip is not None and ip.version == version else nobody for ip in parsed)
    return first, second


class HepSender:
    """A socket to one server. Belongs to the thread that uses it."""

    def __init__(self, settings: HepSettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None

    def send(self, sightings: list[Sighting]) -> int:
        """Send copies; gives how many left. Raises `OSError` when the server's name cannot be resolved."""
        bound = self._socket = self._socket or self._open()
        sent = 0
        for sighting in sightings:
            packet = encode(sighting, capture_id=self._settings.capture_id, password=self._settings.password)
            try:
                bound.send(packet)
            except OSError:  # nobody listens there at the moment, or the buffer is full
                continue
            sent += 1
        return sent

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        found = socket.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            bound.connect(address)
        except OSError:
            bound.close()
            raise
        return bound
