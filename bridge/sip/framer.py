"""A byte stream cut into messages (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

import enum
import re
from collections.abc import Iterator

from bridge.sip.errors import SipError
from bridge.sip.parser import refusal

_LENGTH = re.compile(rb"\r\n(?:[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]|[Ll])[ \t]*:[ \t]*([^\r\n]*)")
_FOLD = re.compile(rb"\r\n[ \t]+")
_DIGITS = re.compile(rb"[0-9]{1,10}")


class KeepAlive(enum.Enum):
    """Line ends between messages, told one by one: what they mean must not depend on how the stream was cut."""

    PONG = enum.auto()
    """The first CRLF in a row: perhaps a peer's answer to our ping; nothing to do."""
    PING = enum.auto()
    """The second CRLF in a row: the peer pings and wants one CRLF back."""


class StreamFramer:
    """Collects the bytes of one connection and gives out whole messages, not yet parsed.

    After an error the stream has no more frames: the caller sends `SipError.response` if there is one, and closes.
    """

    __slots__ = ("_buffer", "_crlfs", "_failed", "_max_header", "_max_message", "_scanned", "_wanted")

    def __init__(self, max_message: int = 65_535, max_header: int = 16_384) -> None:
        self._max_message = max_message
        self._max_header = max_header
        self._buffer = bytearray()
        self._scanned = 0
        """No header section ends before this offset: single bytes must not make us search the whole again."""
        self._wanted = 0
        """Length of the message at the front, 0 while its header section is incomplete."""
        self._crlfs = 0
        self._failed: SipError | None = None

    @property
    def pending(self) -> int:
        """Bytes of a message that has begun but not ended: the reason for a time limit on the connection."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | KeepAlive]:
        """Take in bytes and give out what they complete. Frames before a fault come out before the fault is raised."""
        if self._failed is None:
            self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[bytes | KeepAlive]:
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> bytes | KeepAlive | None:
        if self._failed is not None:
            raise self._failed
        try:
            return self._keep_alive() or self._message()
        except SipError as error:
            self._failed = error
            self._buffer.clear()
            raise

    def _keep_alive(self) -> KeepAlive | None:
        if self._buffer[:2] != b"\r\n":
            return None
        del self._buffer[:2]
        self._crlfs += 1
        return KeepAlive.PONG if self._crlfs % 2 else KeepAlive.PING

    def _message(self) -> bytes | None:
        if self._buffer and self._buffer != b"\r":
            self._crlfs = 0
        if not self._wanted:
            self._wanted = self._measure()
        if not self._wanted or len(self._buffer) < self._wanted:
            return None
        message = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        self._wanted = self._scanned = 0
        return message

    def _measure(self) -> int:
        """Length of the whole message at the front, or 0 while its header section has not ended."""
        end = self._buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            self._scanned = max(0, len(self._buffer) - 3)
        if max(end, self._scanned) > self._max_header:
            raise SipError(513, "Header Section Too Large")
        if end < 0:
            return 0
        head = bytes(self._buffer[: end + 4])
        return len(head) + self._body_length(head)

    def _body_length(self, head: bytes) -> int:
        values = _LENGTH.findall(_FOLD.sub(b" ", head))
        if len(values) != 1 or not _DIGITS.fullmatch(values[0].rstrip(b" \t")):
            # Where this message ends and the next begins is anybody's guess (RFC 3261 §18.3, RFC 4475 §3.1.2.2).
            raise refusal(head, 400, "Missing or Malformed Content-Length")
        length = int(values[0])
        if len(head) + length > self._max_message:
            raise refusal(head, 513, "Message Too Large")
        return length
