"""An HTTP server whose connections are counted and timed: strangers without a token must not use up our descriptors.

aiohttp handles the requests. Accepting and watching the connections is done here, with nothing but asyncio's public
parts: asyncio's own server accepts without bound, and logs without bound once there are no descriptors left.
"""

import asyncio
import os
import socket
from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.typedefs import Handler

from bridge.core.clock import SystemClock
from bridge.core.floodgate import Floodgate
from bridge.core.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_BACKLOG = 128
_ACCEPT_PAUSE_S = 1.0
"""After a failure to accept, most likely for want of descriptors: trying at once would only burn the processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one server puts up with."""

    connections: int
    head_s: float = 10.0
    """For a request's line and headers, counted from the connection or from the first byte of a later request."""
    body_s: float = 30.0
    """For a body. Who reads one with `HttpServer.read_body` hears of it; a little later the connection is closed."""
    idle_s: float = 75.0
    """Between requests, and for the client to take an answer."""
    shutdown_s: float = 2.0
    """For requests at work when the server stops, and once more after they were told to end."""
    line_length: int = 8190


class HttpServer:
    """Serves an application. A full server closes whoever has asked nothing yet, or has been idle for longest.

    A request whose body is yet to come is no request: who has no token must not hold a place with the promise of one.
    """

    def __init__(self, app: web.Application, *, name: str, limits: HttpLimits, telemetry: Telemetry) -> None:
        """`name` is the component that the server is counted and logged as."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._watch(request, handler)

        app.middlewares.append(watch)
        self._limits = limits
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=limits.shutdown_s, max_line_size=limits.line_length
        )
        self._name = name
        self._telemetry = telemetry
        self._connections = _Connections(name, limits, telemetry)
        self._floodgate = Floodgate(SystemClock())
        self._accepting: dict[socket.socket, asyncio.Task[None]] = {}

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the address: with the free port that was taken if `port` is 0. Raises `OSError`."""
        listeners = await _listen(host, port)
        await self._runner.setup()
        for listener in listeners:
            task = asyncio.create_task(self._accept_forever(listener), name=f"{self._name}-accept")
            self._accepting[listener] = task
        taken_host, taken_port = listeners[0].getsockname()[:2]
        return str(taken_host), int(taken_port)

    async def stop(self) -> None:
        """Accept nobody any more, finish the requests at work, close all connections; may be called twice."""
        for task in self._accepting.values():
            task.cancel()
        await asyncio.gather(*self._accepting.values(), return_exceptions=True)
        for listener in self._accepting:
            listener.close()
        if self._accepting:
            self._accepting.clear()
            await self._runner.cleanup()

    async def read_body(self, request: web.Request) -> bytes:
        """The whole body. Raises `TimeoutError` when it does not come in time."""
        async with asyncio.timeout(self._limits.body_s):
            return await request.read()

    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = self._connections.find(request.transport)
        if connection is not None:
            connection.begin_request(request.content)
        try:
            return await handler(request)
        finally:
            if connection is not None:
                connection.end_request()

    async def _accept_forever(self, listener: socket.socket) -> None:
        while True:
            try:
                await self._accept(listener)
            except ConnectionError:
                continue
            except OSError as error:
                self._note_failure(error)
                await asyncio.sleep(_ACCEPT_PAUSE_S)
            except Exception:
                self._telemetry.count("internal_errors_total", component=self._name)
                _log.exception("http_accept_broke", server=self._name)
                await asyncio.sleep(_ACCEPT_PAUSE_S)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(listener)
        server = self._runner.server
        if server is None or not self._connections.make_room():
            accepted.close()
            # A connection that already waits is accepted without giving anybody else a turn.
            await asyncio.sleep(0)
            return
        try:
            await loop.connect_accepted_socket(lambda: _Connection(server(), self._connections), accepted)
        except Exception:
            accepted.close()
            raise

    def _note_failure(self, error: OSError) -> None:
        left_out = self._floodgate.pass_or_count("accept")
        if left_out is not None:
            _log.error("http_connection_not_accepted", server=self._name, reason=str(error), left_out=left_out)


class _Connections:
    """The open connections of one server, in the order in which they last did something."""

    def __init__(self, name: str, limits: HttpLimits, telemetry: Telemetry) -> None:
        self.limits = limits
        self._name = name
        self._telemetry = telemetry
        self._floodgate = Floodgate(SystemClock())
        self._open: OrderedDict[asyncio.BaseTransport, _Connection] = OrderedDict()

    def find(self, transport: asyncio.BaseTransport | None) -> "_Connection | None":
        return None if transport is None else self._open.get(transport)

    def add(self, transport: asyncio.BaseTransport, connection: "_Connection") -> None:
        self._open[transport] = connection

    def used(self, transport: asyncio.BaseTransport) -> None:
        if transport in self._open:
            self._open.move_to_end(transport)

    def remove(self, transport: asyncio.BaseTransport) -> None:
        self._open.pop(transport, None)

    def make_room(self) -> bool:
        """Whether one more may come; for its sake another may have to go."""
        if len(self._open) < self.limits.connections:
            return True
        idle = [connection for connection in self._open.values() if not connection.busy]
        # Who has asked something may be the homeserver; who never did costs it nothing to come again.
        silent = [connection for connection in idle if not connection.known]
        for connection in (*silent, *idle):
            connection.drop()
            self.note("evicted")
            return True
        self.note("refused")
        return False

    def note(self, reason: str) -> None:
        """Count a connection that was dropped for what it did, or for lack of room."""
        self._telemetry.count("http_connections_dropped_total", server=self._name, reason=reason)
        left_out = self._floodgate.pass_or_count(reason)
        if left_out is not None:
            _log.warning("http_connection_dropped", server=self._name, reason=reason, left_out=left_out)


class _Connection(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, and keeps the time."""

    def __init__(self, inner: asyncio.Protocol, connections: _Connections) -> None:
        self.known = False
        """Whether it has ever asked something."""
        self._body: StreamReader | None = None
        """Of the request that is at work."""
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head_begun = True

    @property
    def busy(self) -> bool:
        """Whether a request is at work that has come as a whole."""
        return self._body is not None and self._body.is_eof()

    def begin_request(self, body: StreamReader) -> None:
        """A request's headers are complete: once its body is, its handler alone keeps the time."""
        self._body = body
        if self.busy:
            self.known = True
            self._cancel_timer()
        else:
            limits = self._connections.limits
            self._arm(limits.head_s + limits.body_s)

    def end_request(self) -> None:
        """The handler is done; the answer still has to go out."""
        self.known, self._body, self._head_begun = True, None, False
        if self._transport is not None:
            self._connections.used(self._transport)
            self._arm(self._connections.limits.idle_s)

    def drop(self) -> None:
        """Close at once: a client that reads nothing could hold up an orderly end for ever."""
        if self._transport is not None:
            self._connections.remove(self._transport)
            self._transport.abort()

    def _arm(self, limit_s: float) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._time_is_up)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        if self.busy:
            return
        if self._head_begun:
            self._connections.note("slow")
        self.drop()

    # --- what the transport calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: other event loops have transports that are no subclasses.
        self._transport = stream = cast(asyncio.Transport, transport)
        self._connections.add(stream, self)
        self._arm(self._connections.limits.head_s)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._body is None and not self._head_begun:
            self._head_begun = True
            self._arm(self._connections.limits.head_s)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        if self._transport is not None:
            self._connections.remove(self._transport)
            self._transport = None
        self._inner.connection_lost(exc)


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Sockets for all addresses that `host` stands for."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            listeners.append(socket.create_server(address, family=family, backlog=_BACKLOG))
            listeners[-1].setblocking(False)
    except OSError as error:
        for listener in listeners:
            listener.close()
        # Whoever is told knows the address; Python's own words repeat it.
        raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error)) from error
    return listeners
