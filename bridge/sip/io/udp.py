"""Datagram sockets that also hear what the network says about datagrams that did not arrive."""

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable

MAX_DATAGRAM = 65_535
BATCH = 64
"""Datagrams read before other work gets its turn."""

_RECEIVE_BUFFER = 1 << 20
_ERROR_QUEUE_READS = 32
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_GONE = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))

OnDatagram = Callable[[bytes, str, int, int], None]
"""Payload, peer's host and port, number of the socket."""

OnUnreachable = Callable[[str, int], None]


class UdpSocket:
    """One bound socket, read by the event loop.

    Linux queues ICMP errors with the address that they are about (`IP_RECVERR`); without that, a refused INVITE would
    wait for its timeout.
    """

    def __init__(self, number: int, *, on_datagram: OnDatagram, on_unreachable: OnUnreachable) -> None:
        self.number = number
        self.host = ""
        self.port = 0
        self.version = 4
        """Of the Internet Protocol."""
        self._on_datagram = on_datagram
        self._on_unreachable = on_unreachable
        self._socket: socket.socket | None = None

    def open(self, host: str, port: int) -> None:
        """Bind and start reading; raises `OSError` when the address is taken."""
        self.version = version = ipaddress.ip_address(host).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            level, option = (socket.IPPROTO_IP, _IP_RECVERR) if version == 4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
            bound.setsockopt(level, option, 1)
            if version == 6:
                # It could not answer what came from an IPv4 address: that needs a listener of its own.
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self.host, self.port = bound.getsockname()[:2]
        asyncio.get_running_loop().add_reader(bound.fileno(), self._readable)

    def close(self) -> None:
        """Stop reading and give the port back."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def send(self, payload: bytes, host: str, port: int) -> bool:
        """Send one datagram; false when it cannot leave. A full buffer loses it, as the network may."""
        for _ in range(2):
            try:
                return self._send(payload, host, port)
            except ConnectionRefusedError:
                self._read_errors()  # The kernel reports an earlier datagram here and has not sent this one.
            except BlockingIOError:
                return True
            except OSError:
                return False
        return False

    def _send(self, payload: bytes, host: str, port: int) -> bool:
        if self._socket is None:
            return False
        self._socket.sendto(payload, (host, port))
        return True

    def _readable(self) -> None:
        """Woken by datagrams, or by a queued error alone."""
        for count in range(BATCH):
            if self._socket is None:
                return
            try:
                payload, address = self._socket.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                if not count:
                    self._read_errors()
                return
            except OSError:
                self._read_errors()
                continue
            self._on_datagram(payload, address[0], address[1], self.number)

    def _read_errors(self) -> None:
        """Empty the error queue: while it holds anything, the loop would wake for ever."""
        for _ in range(_ERROR_QUEUE_READS):
            if self._socket is None:
                return
            try:
                _, ancillary, _, address = self._socket.recvmsg(512, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            if address and any(_errno_of(content) in _GONE for _, _, content in ancillary):
                self._on_unreachable(address[0], address[1])


def _errno_of(extended_error: bytes) -> int:
    """The first field of `struct sock_extended_err`."""
    if len(extended_error) < 4:
        return 0
    number: int = struct.unpack_from("=I", extended_error)[0]
    return number
