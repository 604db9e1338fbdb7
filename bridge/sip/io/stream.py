"""One stream connection: secured if it is to be, framed, kept alive (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

import asyncio
import socket
from collections import deque
from contextvars import Context
from typing import NamedTuple, Protocol, cast

from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.errors import SipError
from bridge.sip.framer import KeepAlive, StreamFramer
from bridge.sip.io.tls import TlsError, TlsSession
from bridge.sip.settings import TlsFiles, Transport

HANDSHAKE_LIMIT_S = 5.0
"""A peer that connects has to prove that it speaks TLS by then."""
MAX_UNSENT = 1 << 20
"""Bytes that a peer may be slow to take."""
MAX_PINGS_PER_S = 10

PING_INTERVAL_S = 100.0
"""RFC 5626 §4.4.1 wants 95 to 120 s."""

PONG_LIMIT_S = 10.0
"""RFC 5626 §4.4.1; asked only of a peer that has answered a ping before, for many trunks never do."""

USER_TIMEOUT_S = 30
"""After this long without an acknowledgement of what was sent, the kernel ends the connection (RFC 5482)."""

PING = b"\r\n\r\n"
_PONG = b"\r\n"


class Peer(NamedTuple):
    """Whom a connection leads to: two requests share one only if the same certificates satisfy both, theirs and ours.

    So those of a trunk whose settings have changed take a new one, while calls that are up keep the old one.
    """

    transport: Transport
    host: str
    port: int
    name: str = ""
    trunk: TrunkName | None = None
    tls: TlsFiles = TlsFiles()

    @classmethod
    def of(cls, flow: Flow) -> "Peer":
        """The peer at the end of a flow."""
        if flow.transport is Transport.TLS:
            return cls(flow.transport, flow.host, flow.port, flow.name or flow.host, flow.trunk, flow.tls)
        return cls(flow.transport, flow.host, flow.port)


class StreamOwner(Protocol):
    """What a connection tells whoever keeps it."""

    def adopt(self, stream: "Stream") -> bool:
        """Take a new connection in, or not."""
        ...

    def release(self, stream: "Stream") -> None:
        """Forget a connection that has ended."""
        ...

    def take(self, stream: "Stream", message: bytes) -> None:
        """A whole message came."""
        ...

    def count_malformed(self) -> None:
        """What came cannot be cut into messages."""
        ...

    def insecure(self, stream: "Stream", reason: str) -> None:
        """TLS failed; the reason is one of `tls.REMEDIES`."""
        ...


class Stream(asyncio.Protocol):
    """One connection; it belongs to whoever dialled or accepted it."""

    def __init__(
        self, owner: StreamOwner, number: int, peer: Peer, *, listener: int | None = None, tls: TlsSession | None = None
    ) -> None:
        """Accepted by a listener, or dialled; the address in `peer` is filled in when the peer is there."""
        self.number = number
        self.listener = listener or 0
        self.accepted = listener is not None
        self.peer = peer
        self.opened_at = self.heard_at = self.partial_since = self.pinged_at = asyncio.get_running_loop().time()
        self.spoke = self.answers_pings = False
        self.opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done once messages can be sent, or with the reason why they never can."""
        self._owner = owner
        self._tls = tls
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._pings: deque[float] = deque(maxlen=MAX_PINGS_PER_S)
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def flow(self) -> Flow:
        """What messages of this connection carry."""
        return Flow(
            transport=self.peer.transport,
            host=self.peer.host,
            port=self.peer.port,
            connection=self.number,
            listener=self.listener,
            name=self.peer.name,
            trunk=self.peer.trunk,
            tls=self.peer.tls,
        )

    @property
    def usable(self) -> bool:
        """Whether messages have been able to pass."""
        return self.opened.done() and not self.opened.result()

    @property
    def pending(self) -> int:
        """Bytes of a message that has begun."""
        return self._framer.pending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: other event loops have transports that are no subclasses.
        self._transport = stream = cast(asyncio.Transport, transport)
        if self.accepted:
            host, port = transport.get_extra_info("peername")[:2]
            self.peer = self.peer._replace(host=host, port=port)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
        if not self._owner.adopt(self):
            stream.abort()
        elif self._tls is None:
            self._settle("")
        else:
            self._deadline = asyncio.get_running_loop().call_later(
                HANDSHAKE_LIMIT_S, self._give_up_waiting, context=Context()
            )
            self._decrypt(b"")

    def data_received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.heard_at = now
        if self._tls is not None:
            data = self._decrypt(data)
        if data:
            self._frame(data, now)
        if self._tls is not None and self._tls.ended:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._tls is not None and not self.opened.done():
            self._give_up("closed")
        self._settle("closed")
        self._owner.release(self)

    def write(self, payload: bytes) -> bool:
        """Send; a peer that does not read is cut off."""
        if self._transport is None or self._transport.is_closing() or not self.usable:
            return False
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()
            return False
        if self._tls is not None:
            return self._encrypt(payload, self._tls)
        self._transport.write(payload)
        return True

    def ping_if_due(self, now: float) -> None:
        """Keep the way through NAT open (RFC 5626 §4.4.1)."""
        if now - self.pinged_at > PING_INTERVAL_S:
            self.ping(now)

    def ping(self, now: float) -> None:
        """Ask the peer whether it is there."""
        self.pinged_at = now
        self.write(PING)

    def owes_pong(self, now: float) -> bool:
        """Whether a peer that answers pings has said nothing since the newest one: the way to it is gone."""
        return self.answers_pings and self.heard_at < self.pinged_at < now - PONG_LIMIT_S

    def close(self) -> None:
        """End the connection after what was written."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None and self.usable:
            self._tls.close()
            self._flush()
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # TLS.

    def _decrypt(self, data: bytes) -> bytes:
        if self._tls is None:
            return data
        try:
            plaintext = self._tls.feed(data)
        except TlsError as fault:
            self._flush()  # The alert that tells the peer why.
            self._give_up(fault.reason)
            return b""
        self._flush()
        if self._tls.established:
            self._settle("")
        return plaintext

    def _encrypt(self, payload: bytes, tls: TlsSession) -> bool:
        try:
            tls.write(payload)
        except TlsError as error:
            self._give_up(error.reason)
            return False
        self._flush()
        return True

    def _flush(self) -> None:
        if self._tls is not None and self._transport is not None and (ciphertext := self._tls.take()):
            self._transport.write(ciphertext)

    def _give_up(self, reason: str) -> None:
        self._owner.insecure(self, reason)
        self._settle(reason)
        if self._transport is not None:
            self._transport.close()

    def _give_up_waiting(self) -> None:
        self._give_up("timeout")
        self.abort()

    def _settle(self, reason: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if not self.opened.done():
            self.opened.set_result(reason)

    # Messages.

    def _frame(self, data: bytes, now: float) -> None:
        if not self._framer.pending:
            self.partial_since = now
        try:
            for frame in self._framer.feed(data):
                self._take(frame, now)
        except SipError as error:
            self._owner.count_malformed()
            if error.response is not None:
                self.write(bytes(error.response))
            self.close()

    def _take(self, frame: bytes | KeepAlive, now: float) -> None:
        self.partial_since = now
        match frame:
            case bytes():
                self.spoke = True
                self._owner.take(self, frame)
            case KeepAlive.PING:
                self._pong(now)
            case KeepAlive.PONG:
                self.answers_pings = self.answers_pings or self.pinged_at > self.opened_at

    def _pong(self, now: float) -> None:
        if len(self._pings) == MAX_PINGS_PER_S and now - self._pings[0] < 1.0:
            self.abort()
            return
        self._pings.append(now)
        self.write(_PONG)
