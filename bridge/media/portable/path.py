"""One way of the Matrix leg through the network: a socket of our own, or an allocation at a TURN server."""

import socket
import struct

from bridge.media.latch import Address
from bridge.media.portable.sockets import MAX_READ, read, send
from bridge.media.relay import NOBODY

_CHANNEL = struct.Struct("!HH")
"""Channel number and length (RFC 8656 §12.4)."""


class Path:
    """Where datagrams come and go."""

    def __init__(self, bound: socket.socket, named: bytes, *, relayed: bool) -> None:
        """`named` is what every connectivity check for us has in its user name (RFC 8445 §7.2.2).

        The socket of a relay is connected with the server, or with whoever speaks with that over a connection.
        """
        self.socket = bound
        self._named = named
        self._relayed = relayed
        self._peers: dict[int, Address] = {}
        self._channels: dict[Address, int] = {}

    def bind(self, channels: list[tuple[int, Address]]) -> None:
        """Take what the channels of a relay stand for."""
        self._peers = dict(channels)
        self._channels = {peer: number for number, peer in channels}

    def receive(self) -> tuple[bytes | None, Address]:
        """One datagram and where it came from; from a TURN server and no peer, it is for the TURN client."""
        if not self._relayed:
            return read(self.socket)
        try:
            datagram = self.socket.recv(MAX_READ)
        except OSError:
            return None, NOBODY
        return self._unwrapped(datagram)

    def _unwrapped(self, datagram: bytes) -> tuple[bytes, Address]:
        if len(datagram) < _CHANNEL.size:
            return datagram, NOBODY
        number, length = _CHANNEL.unpack_from(datagram)
        peer, end = self._peers.get(number), _CHANNEL.size + length
        if peer is None or end > len(datagram):
            return datagram, NOBODY
        return datagram[_CHANNEL.size : end], peer

    def send(self, datagram: bytes, peer: Address) -> None:
        """Send to a peer."""
        if not self._relayed:
            send(self.socket, datagram, peer)
            return
        number = self._channels.get(peer)
        if number is not None:
            send(self.socket, _CHANNEL.pack(number, len(datagram)) + datagram, None)

    def wants(self, datagram: bytes) -> bool:
        """Whether what begins like STUN is worth the engine's time: a request has to name us (RFC 8489 §5)."""
        if len(datagram) < 2:
            return False
        is_request = not (datagram[0] & 0x01 or datagram[1] & 0x10)
        return not is_request or self._named in datagram
