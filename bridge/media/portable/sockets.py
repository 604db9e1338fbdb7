"""UDP sockets of a worker: what cannot be read or sent is lost, as in any network."""

import contextlib
import ctypes
import socket

from bridge.media.latch import Address

MAX_READ = 2048
"""Longer datagrams are cut off, and then no audio."""
_UNSPECIFIED = ctypes.create_string_buffer(16)
"""An address of the family AF_UNSPEC."""


def adopt(descriptor: int) -> socket.socket:
    """A socket that came as a descriptor."""
    adopted = socket.socket(fileno=descriptor)
    adopted.setblocking(False)
    return adopted


def read(bound: socket.socket) -> tuple[bytes | None, Address]:
    """One datagram and where it came from; `None` when there was none after all, or the other end is unreachable."""
    try:
        datagram, source = bound.recvfrom(MAX_READ)
    except OSError:
        return None, ("", 0)
    return datagram, (source[0], source[1])


def send(bound: socket.socket, datagram: bytes, target: Address | None) -> None:
    """Send to an address, or to whom the socket is connected; a full buffer or an unreachable host loses it."""
    try:
        if target is None:
            bound.send(datagram)
        else:
            bound.sendto(datagram, target)
    except OSError:
        return


def disconnect(bound: socket.socket) -> None:
    """Take datagrams from everybody again (`connect` to AF_UNSPEC, which Python's sockets cannot say)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(OSError):
        libc.connect(bound.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
