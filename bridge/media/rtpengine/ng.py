"""rtpengine's control protocol ("ng"): one datagram asks, one answers, and a cookie tells which belongs to which.

A server remembers its answers by cookie for some seconds, so a request that is sent again is not carried out again.
"""

import asyncio
from collections.abc import Mapping

from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.media.rtpengine import bencode
from bridge.media.rtpengine.bencode import Value

RESENDS_S = (0.2, 0.4, 0.8, 0.8)
"""How long an answer is waited for before the request is sent again, and at last given up."""
MAX_REQUEST = 65_000
"""A datagram holds no more (RFC 768)."""
_COOKIE = 20
_MOST_WAITING = 4096

Reply = Mapping[str, bencode.Decoded]


class NgError(TrunklineError):
    """A server did not do what it was asked."""


class ServerSilentError(NgError):
    """No answer came, or nobody listens there."""


class ServerRefusedError(NgError):
    """The server answered with an error; the text is its own."""


class ServerFullError(ServerRefusedError):
    """The server takes no new sessions: its limit of sessions, processor or bandwidth, or an operator who drains it."""


class NgClient(asyncio.DatagramProtocol):
    """Requests to one server. Many may be under way at once."""

    def __init__(self, host: str, port: int, entropy: Entropy) -> None:
        self._address = host, port
        self._entropy = entropy
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[bytes, asyncio.Future[Reply]] = {}

    async def open(self) -> None:
        """Connect the socket, once: the kernel drops what comes from anybody else, and tells when nobody listens.

        Raises :class:`ServerSilentError` when the server's name is not known.
        """
        if self._transport is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._address)
        except OSError as error:
            raise ServerSilentError(str(error)) from error

    def close(self) -> None:
        """Give up what is under way."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._give_up("closed")

    async def request(self, command: str, **arguments: Value) -> Reply:
        """Ask, and wait for the answer.

        Raises :class:`ServerSilentError` when none comes within about two seconds, and :class:`ServerRefusedError`.
        """
        message = bencode.encode({"command": command, **arguments})
        if len(message) > MAX_REQUEST:
            raise ServerRefusedError(f"{command} is too large for one datagram")
        reply = await self._answered(message)
        return _checked(command, reply)

    async def _answered(self, message: bytes) -> Reply:
        if len(self._waiting) >= _MOST_WAITING:
            raise ServerSilentError("too much waits for an answer")
        cookie = self._entropy.token(_COOKIE).encode()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[cookie] = answer
        try:
            for limit_s in RESENDS_S:
                self._send(cookie + b" " + message)
                done, _ = await asyncio.wait((answer,), timeout=limit_s)
                if done:
                    return answer.result()
        finally:
            del self._waiting[cookie]
        raise ServerSilentError("no answer")

    def _send(self, datagram: bytes) -> None:
        if self._transport is None:
            raise ServerSilentError("not connected")
        self._transport.sendto(datagram)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """An answer; one that cannot be read is dropped, for the request is sent again."""
        cookie, _, body = data.partition(b" ")
        answer = self._waiting.get(cookie)
        if answer is None or answer.done():
            return
        try:
            reply = bencode.decode(body)
        except bencode.BencodeError:
            return
        if isinstance(reply, dict):
            answer.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP): no need to wait for the time limit."""
        self._give_up(str(exc))

    def _give_up(self, why: str) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ServerSilentError(why))


def _checked(command: str, reply: Reply) -> Reply:
    result = reply.get("result")
    if result in (b"ok", b"pong"):
        return reply
    reason = reply.get("error-reason") or reply.get("message") or result
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else "no result"
    if result == b"load limit":
        raise ServerFullError(f"{command}: {text}")
    raise ServerRefusedError(f"{command}: {text}")
