"""Stream connections: accepted and opened, reused, framed, limited (RFC 3261 §18, RFC 5626 §4.4.1)."""

import asyncio
import itertools
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field

from bridge.core.telemetry import Telemetry
from bridge.sip.actions import ClientKey, Flow
from bridge.sip.errors import SipError
from bridge.sip.framer import KeepAlive, StreamFramer
from bridge.sip.settings import Transport

MAX_CONNECTIONS = 512
MAX_PER_HOST = 20
CONNECT_LIMIT_S = 4.0
FIRST_MESSAGE_LIMIT_S = 30.0
"""A connection that says nothing sensible for this long is closed."""
PARTIAL_LIMIT_S = 5.0
"""A message that has begun has to end."""
IDLE_LIMIT_S = 900.0
SWEEP_S = 2.5
MAX_WAITING = 64
"""Messages that wait for a connection to open."""
MAX_UNSENT = 1 << 20
"""Bytes that a peer may be slow to take."""
MAX_PINGS_PER_S = 10

PING_INTERVAL_S = 100.0
"""RFC 5626 §4.4.1 wants 95 to 120 s."""

PONG_LIMIT_S = 10.0
"""RFC 5626 §4.4.1; asked only of a peer that has answered a ping before, for many trunks never do."""

USER_TIMEOUT_S = 30
"""After this long without an acknowledgement of what was sent, the kernel ends the connection (RFC 5482)."""

_PING = b"\r\n\r\n"
_PONG = b"\r\n"


class Stream(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, pool: "TcpPool", number: int, *, listener: int = 0, dialled: tuple[str, int] | None = None
    ) -> None:
        self.number = number
        self.listener = listener
        self.host, self.port = dialled or ("", 0)
        self.accepted = dialled is None
        self.opened_at = self.heard_at = self.partial_since = self.pinged_at = asyncio.get_running_loop().time()
        self.spoke = self.answers_pings = False
        self._pool = pool
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._pings: deque[float] = deque(maxlen=MAX_PINGS_PER_S)

    @property
    def flow(self) -> Flow:
        """What messages of this connection carry."""
        return Flow(
            transport=Transport.TCP,
            host=self.host,
            port=self.port,
            connection=self.number,
            listener=self.listener,
        )

    @property
    def pending(self) -> int:
        """Bytes of a message that has begun."""
        return self._framer.pending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream transport")
        self._transport = transport
        self.host, self.port = transport.get_extra_info("peername")[:2]
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
        if not self._pool.adopt(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.heard_at = now
        if not self._framer.pending:
            self.partial_since = now
        try:
            for frame in self._framer.feed(data):
                self._take(frame, now)
        except SipError as error:
            self._pool.telemetry.count("sip_parse_errors_total", kind="stream")
            if error.response is not None:
                self.write(bytes(error.response))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pool.release(self)

    def write(self, payload: bytes) -> bool:
        """Send; a peer that does not read is cut off."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()
            return False
        self._transport.write(payload)
        return True

    def ping(self, now: float) -> None:
        """Keep the way through NAT open, if it is time (RFC 5626 §4.4.1)."""
        if now - self.pinged_at > PING_INTERVAL_S:
            self.pinged_at = now
            self.write(_PING)

    def owes_pong(self, now: float) -> bool:
        """Whether a peer that answers pings has said nothing since the newest one: the way to it is gone."""
        return self.answers_pings and self.heard_at < self.pinged_at < now - PONG_LIMIT_S

    def close(self) -> None:
        """End the connection after what was written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, frame: bytes | KeepAlive, now: float) -> None:
        self.partial_since = now
        match frame:
            case bytes():
                self.spoke = True
                self._pool.on_message(frame, self.flow)
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


@dataclass(slots=True, kw_only=True, eq=False)
class _Dialling:
    """Messages that wait for a connection."""

    task: "asyncio.Task[None]"
    waiting: list[tuple[bytes, ClientKey | None]] = field(default_factory=list)


class TcpPool:
    """All connections of the endpoint."""

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        admits: Callable[[str], bool],
        keeps: Callable[[Flow], bool],
        on_message: Callable[[bytes, Flow], None],
        on_failed: Callable[[ClientKey], None],
        on_closed: Callable[[Flow], None],
    ) -> None:
        self.telemetry = telemetry
        self.on_message = on_message
        self._admits = admits
        self._keeps = keeps
        self._on_failed = on_failed
        self._on_closed = on_closed
        self._servers: list[asyncio.Server] = []
        self._streams: dict[int, Stream] = {}
        self._by_peer: dict[tuple[str, int], Stream] = {}
        self._per_host: Counter[str] = Counter()
        self._dialling: dict[tuple[str, int], _Dialling] = {}
        self._numbers = itertools.count(1)
        self._sweep: asyncio.TimerHandle | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._streams)

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Accept connections; raises `OSError` when the address is taken."""
        loop = asyncio.get_running_loop()
        listener = len(self._servers)
        server = await loop.create_server(lambda: Stream(self, next(self._numbers), listener=listener), host, port)
        self._servers.append(server)
        bound = server.sockets[0].getsockname()
        return bound[0], bound[1]

    def send(self, payload: bytes, flow: Flow, transaction: ClientKey | None) -> None:
        """Send by the connection that the flow names, by one to its address, or by a new one."""
        self._watch()
        stream = self._streams.get(flow.connection) or self._by_peer.get((flow.host, flow.port))
        if stream is not None and stream.write(payload):
            return
        dialling = self._dialling.get((flow.host, flow.port))
        if dialling is None:
            dialling = self._dial(flow.host, flow.port)
        if dialling is None or len(dialling.waiting) >= MAX_WAITING:
            self._fail(transaction)
        else:
            dialling.waiting.append((payload, transaction))

    def doubt(self, flow: Flow, silent_s: float) -> None:
        """End the connection that a request without answer went by, if nothing else came by it for so long either."""
        stream = self._streams.get(flow.connection) or self._by_peer.get((flow.host, flow.port))
        if stream is not None and asyncio.get_running_loop().time() - stream.heard_at >= silent_s:
            stream.abort()

    def adopt(self, stream: Stream) -> bool:
        """Take a new connection in, if it is from a known peer and within the limits."""
        full = len(self._streams) >= MAX_CONNECTIONS or self._per_host[stream.host] >= MAX_PER_HOST
        if stream.accepted and (full or not self._admits(stream.host)):
            self.telemetry.count("sip_dropped_total", reason="overload" if full else "acl")
            return False
        self._streams[stream.number] = stream
        self._by_peer[stream.host, stream.port] = stream
        self._per_host[stream.host] += 1
        self._watch()
        return True

    def release(self, stream: Stream) -> None:
        """Forget a connection that has ended."""
        if self._streams.pop(stream.number, None) is None:
            return
        if self._by_peer.get((stream.host, stream.port)) is stream:
            del self._by_peer[stream.host, stream.port]
        self._per_host[stream.host] -= 1
        if not self._per_host[stream.host]:
            del self._per_host[stream.host]
        if not self._closing:
            self._on_closed(stream.flow)

    async def close(self) -> None:
        """Close everything; returns when no task, socket or timer is left."""
        self._closing = True
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        tasks = [dialling.task for dialling in self._dialling.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in list(self._streams.values()):
            stream.close()
        await self._wait_closed()

    async def _wait_closed(self) -> None:
        """Let the loop tell each connection that it is gone; a peer that does not read is not waited for."""
        for _ in range(3):
            await asyncio.sleep(0)
        for stream in list(self._streams.values()):
            stream.abort()
        for server in self._servers:
            await server.wait_closed()
        await asyncio.sleep(0)

    def _dial(self, host: str, port: int) -> _Dialling | None:
        if self._closing or len(self._streams) + len(self._dialling) >= MAX_CONNECTIONS:
            return None
        task = asyncio.get_running_loop().create_task(self._connect(host, port), context=Context())
        dialling = self._dialling[host, port] = _Dialling(task=task)
        return dialling

    async def _connect(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        stream: Stream | None = None
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                number = next(self._numbers)
                _, stream = await loop.create_connection(lambda: Stream(self, number, dialled=(host, port)), host, port)
        except (OSError, TimeoutError):
            self.telemetry.count("sip_connect_failures_total", transport=Transport.TCP.value)
        finally:
            dialling = self._dialling.pop((host, port))
        for payload, transaction in dialling.waiting:
            if stream is None or not stream.write(payload):
                self._fail(transaction)

    def _fail(self, transaction: ClientKey | None) -> None:
        if transaction is not None:
            self._on_failed(transaction)

    def _watch(self) -> None:
        if self._sweep is None and self._streams and not self._closing:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._close_silent, context=Context())

    def _close_silent(self) -> None:
        """Slow and silent peers hold a connection only for so long."""
        self._sweep = None
        now = asyncio.get_running_loop().time()
        for stream in list(self._streams.values()):
            kept = not stream.accepted and self._keeps(stream.flow)
            silent = not kept and now - stream.heard_at > IDLE_LIMIT_S
            slow = stream.pending and now - stream.partial_since > PARTIAL_LIMIT_S
            mute = stream.accepted and not stream.spoke and now - stream.opened_at > FIRST_MESSAGE_LIMIT_S
            if silent or slow or mute or stream.owes_pong(now):
                stream.abort()
            elif kept:
                stream.ping(now)
        self._watch()
