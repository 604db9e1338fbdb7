"""Somebody who is no part of a call, and sends to its ports."""

import asyncio
import socket
import struct
from typing import Self

from bridge.media.rtp import RtpPacket

VOICE = b"\x42" * 160
"""What a stranger says; nobody else does."""


def forged_client_hello() -> bytes:
    """A DTLS 1.2 ClientHello that offers no usable cipher suite (RFC 6347 §4.2)."""
    body = b"\xfe\xfd" + bytes(32) + b"\0" + b"\0" + b"\0\x02\0\0" + b"\x01\0"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + b"\0\0" + b"\0\0\0" + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


def stun_request(username: str = "") -> bytes:
    """A connectivity check without a password (RFC 8445 §7.2.2), with a user name or without."""
    name = username.encode()
    padding = bytes(-len(name) % 4)
    user = struct.pack("!HH", 0x0006, len(name)) + name + padding if name else b""
    attributes = user + struct.pack("!HHI", 0x0024, 4, 1) + struct.pack("!HHQ", 0x8029, 8, 1)
    return struct.pack("!HHI", 0x0001, len(attributes), 0x2112A442) + bytes(range(12)) + attributes


def rtp(number: int) -> bytes:
    """Speech in μ-law."""
    return bytes(RtpPacket(payload_type=0, sequence=number, timestamp=160 * number, ssrc=0xBAD, payload=VOICE))


def everything(number: int) -> tuple[bytes, ...]:
    """One datagram of each kind that a port may take for its own."""
    report = struct.pack("!BBH5I", 0x80, 200, 6, 0xBAD, 1, 2, 3, 4) + bytes(4)
    bye = struct.pack("!BBHI", 0x81, 203, 1, 0xBAD)
    return rtp(number), report, bye, forged_client_hello(), stun_request(), b"\x90" * 60


class Stranger:
    """A socket of its own, and what came back on it."""

    def __init__(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.received: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        self.received.append(self._socket.recv(4096))

    def send(self, datagram: bytes, port: int) -> None:
        """To a port of the bridge; a buffer that is full loses some, as a network would."""
        try:
            self._socket.sendto(datagram, ("127.0.0.1", port))
        except BlockingIOError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
