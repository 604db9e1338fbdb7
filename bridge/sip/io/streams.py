"""All stream connections: accepted and opened, reused, limited (RFC 3261 §18)."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field

from bridge.core.telemetry import Telemetry
from bridge.sip.actions import ClientKey, Flow
from bridge.sip.io.certificates import CertificateError
from bridge.sip.io.stream import Peer, Stream
from bridge.sip.io.tls import TlsError, TlsSession
from bridge.sip.io.tls_contexts import TlsContexts
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


@dataclass(slots=True, kw_only=True, eq=False)
class _Dialling:
    """Messages that wait for a connection."""

    task: "asyncio.Task[None]"
    waiting: list[tuple[bytes, ClientKey | None]] = field(default_factory=list)


class StreamPool:
    """All connections of the endpoint.

    Requests take any connection that we have opened to the same peer. One that a peer has opened carries our answers,
    and over TLS nothing else: `alias` (RFC 5923) would have us believe that who connected is who listens at the port
    that his Via names, and trunks that mean it are reached by opening a connection, which proves it.
    """

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        contexts: TlsContexts,
        admits: Callable[[str], bool],
        keeps: Callable[[Flow], bool],
        on_message: Callable[[bytes, Flow], None],
        on_sent: Callable[[ClientKey, int], None],
        on_failed: Callable[[ClientKey], None],
        on_closed: Callable[[Flow], None],
        on_insecure: Callable[[Peer, str, str], None],
    ) -> None:
        self._telemetry = telemetry
        self._contexts = contexts
        self._admits = admits
        self._keeps = keeps
        self._on_message = on_message
        self._on_sent = on_sent
        self._on_failed = on_failed
        self._on_closed = on_closed
        self._on_insecure = on_insecure
        self._servers: list[asyncio.Server] = []
        self._listeners: Counter[Transport] = Counter()
        self._streams: dict[int, Stream] = {}
        self._by_peer: dict[Peer, Stream] = {}
        self._per_host: Counter[str] = Counter()
        self._dialling: dict[Peer, _Dialling] = {}
        self._numbers = itertools.count(1)
        self._sweep: asyncio.TimerHandle | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._streams)

    async def listen(self, transport: Transport, host: str, port: int) -> tuple[str, int]:
        """Accept connections; raises `OSError` when the address is taken."""
        loop = asyncio.get_running_loop()
        listener = self._listeners[transport]
        server = await loop.create_server(lambda: self._accept(transport, listener), host, port)
        self._listeners[transport] += 1
        self._servers.append(server)
        bound = server.sockets[0].getsockname()
        return bound[0], bound[1]

    def send(self, payload: bytes, flow: Flow, transaction: ClientKey | None) -> None:
        """Send by the connection that the flow names, by one to its peer, or by a new one."""
        self._watch()
        peer = Peer.of(flow)
        stream = self._streams.get(flow.connection) or self._by_peer.get(peer)
        if stream is not None and self._write(stream, payload, transaction):
            return
        dialling = self._dialling.get(peer) or self._dial(peer)
        if dialling is None or len(dialling.waiting) >= MAX_WAITING:
            self._fail(transaction)
        else:
            dialling.waiting.append((payload, transaction))

    def doubt(self, flow: Flow, silent_s: float) -> None:
        """End the connection that a request without answer went by, if nothing else came by it for so long either."""
        stream = self._streams.get(flow.connection) or self._by_peer.get(Peer.of(flow))
        if stream is not None and asyncio.get_running_loop().time() - stream.heard_at >= silent_s:
            stream.abort()

    def ping(self, flow: Flow, *, answered: bool) -> None:
        """Keep a connection open that is; a peer that has promised to answer is gone if it does not."""
        stream = self._streams.get(flow.connection) or self._by_peer.get(Peer.of(flow))
        if stream is not None:
            stream.answers_pings = stream.answers_pings or answered
            stream.ping(asyncio.get_running_loop().time())

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

    # What connections tell.

    def adopt(self, stream: Stream) -> bool:
        """Take a new connection in, if it is from a known peer and within the limits."""
        host = stream.peer.host
        full = len(self._streams) >= MAX_CONNECTIONS or self._per_host[host] >= MAX_PER_HOST
        if stream.accepted and (full or not self._admits(host)):
            self._telemetry.count("sip_dropped_total", reason="overload" if full else "acl")
            return False
        self._streams[stream.number] = stream
        self._by_peer[stream.peer] = stream
        self._per_host[host] += 1
        self._watch()
        return True

    def release(self, stream: Stream) -> None:
        """Forget a connection that has ended."""
        if self._streams.pop(stream.number, None) is None:
            return
        if self._by_peer.get(stream.peer) is stream:
            del self._by_peer[stream.peer]
        host = stream.peer.host
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]
        if stream.usable and not self._closing:
            self._on_closed(stream.flow)

    def take(self, stream: Stream, message: bytes) -> None:
        """A whole message came."""
        self._on_message(message, stream.flow)

    def count_malformed(self) -> None:
        """What came cannot be cut into messages."""
        self._telemetry.count("sip_parse_errors_total", kind="stream")

    def insecure(self, stream: Stream, reason: str) -> None:
        """TLS failed."""
        if stream.number in self._streams and not self._closing:
            direction = "in" if stream.accepted else "out"
            self._telemetry.count("sip_tls_failures_total", direction=direction, reason=reason)
            self._on_insecure(stream.peer, direction, reason)

    # Opening.

    def _accept(self, transport: Transport, listener: int) -> Stream:
        tls = TlsSession(self._contexts.server()) if transport is Transport.TLS else None
        return Stream(self, next(self._numbers), Peer(transport, "", 0), listener=listener, tls=tls)

    def _dial(self, peer: Peer) -> _Dialling | None:
        if self._closing or len(self._streams) + len(self._dialling) >= MAX_CONNECTIONS:
            return None
        task = asyncio.get_running_loop().create_task(self._connect(peer), context=Context())
        dialling = self._dialling[peer] = _Dialling(task=task)
        return dialling

    async def _connect(self, peer: Peer) -> None:
        stream: Stream | None = None
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                stream = await self._open(peer)
        except (OSError, TimeoutError, CertificateError, TlsError):
            self._telemetry.count("sip_connect_failures_total", transport=peer.transport.value)
        finally:
            dialling = self._dialling.pop(peer)
        for payload, transaction in dialling.waiting:
            if stream is None or not self._write(stream, payload, transaction):
                self._fail(transaction)

    async def _open(self, peer: Peer) -> Stream:
        """A connection that is ready for messages."""
        tls = self._client_session(peer) if peer.transport is Transport.TLS else None
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: Stream(self, number, peer, tls=tls), peer.host, peer.port)
        try:
            if reason := await stream.opened:
                raise TlsError(reason)
        except asyncio.CancelledError:
            self.insecure(stream, "timeout")
            stream.abort()
            raise
        return stream

    def _client_session(self, peer: Peer) -> TlsSession:
        try:
            return TlsSession(self._contexts.client(peer.tls), server_name=peer.name)
        except ValueError:  # No certificate can be made out to such a name.
            raise TlsError("name") from None

    def _write(self, stream: Stream, payload: bytes, transaction: ClientKey | None) -> bool:
        written = stream.write(payload)
        if written and transaction is not None:
            self._on_sent(transaction, stream.number)
        return written

    def _fail(self, transaction: ClientKey | None) -> None:
        if transaction is not None:
            self._on_failed(transaction)

    # Life.

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
                stream.ping_if_due(now)
        self._watch()
