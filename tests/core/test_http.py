"""The HTTP server: strangers cannot fill it, slow clients cannot hold it, and it survives a want of descriptors."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.core import http as http_module
from bridge.core.http import HttpLimits, HttpServer
from bridge.core.telemetry import NoTelemetry
from tests.patience import PATIENCE_S

ROOMY = HttpLimits(connections=8, head_s=60, body_s=60, idle_s=60, shutdown_s=0.1)
GET = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Drops(NoTelemetry):
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        assert name == "http_connections_dropped_total"
        assert labels["server"] == "ops"
        self.reasons.append(labels["reason"])


class Served:
    """A server with a quick path, one that reads the body, one that waits, and one with a long answer."""

    def __init__(self) -> None:
        self.drops = Drops()
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.server: HttpServer
        self.port = 0
        self._streams: list[Stream] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/quick", self._quick)
        app.router.add_put("/body", self._body)
        app.router.add_put("/patient", self._patient)
        app.router.add_route("*", "/waits", self._waits)
        app.router.add_get("/long", self._long)
        return app

    async def connect(self, send: bytes = b"") -> Stream:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._streams.append((reader, writer))
        writer.write(send)
        return reader, writer

    def close_streams(self) -> None:
        for _, writer in self._streams:
            writer.transport.abort()

    async def _quick(self, request: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _body(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(len(await self.server.read_body(request))))
        except TimeoutError:
            return web.Response(status=408)

    async def _patient(self, request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    async def _waits(self, request: web.Request) -> web.Response:
        self.started.set()
        await self.go_on.wait()
        return web.Response(text="waited")

    async def _long(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 64_000_000)


@asynccontextmanager
async def serving(limits: HttpLimits = ROOMY) -> AsyncIterator[Served]:
    served = Served()
    served.server = HttpServer(served.application(), name="ops", limits=limits, telemetry=served.drops)
    _, served.port = await served.server.start("127.0.0.1", 0)
    try:
        yield served
    finally:
        served.close_streams()
        await served.server.stop()
        await served.server.stop()


async def answer(stream: Stream) -> str:
    """The status of the next answer."""
    async with asyncio.timeout(PATIENCE_S):
        head = (await stream[0].readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
        await stream[0].readexactly(int(length.partition(":")[2]))
    return head.split(" ")[1]


async def closed(stream: Stream) -> None:
    """Wait until the server closes the connection, whatever it says before."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            await stream[0].read()
        except ConnectionResetError:
            return


# --- how many ---------------------------------------------------------------------------------------------------------


async def test_a_crowd_of_silent_connections_locks_nobody_out() -> None:
    async with serving() as served:
        silent = [await served.connect() for _ in range(100)]
        assert await answer(await served.connect(GET)) == "200"
        await asyncio.gather(*(closed(stream) for stream in silent[:93]))
        assert not any(stream[0].at_eof() for stream in silent[93:])
    assert served.drops.reasons == ["evicted"] * 93


async def test_who_has_asked_something_stays_longer_than_who_is_silent() -> None:
    async with serving() as served:
        homeserver = await served.connect(GET)
        assert await answer(homeserver) == "200"
        for _ in range(50):
            await served.connect()
        homeserver[1].write(GET)
        assert await answer(homeserver) == "200"


async def test_of_those_who_asked_the_one_idle_for_longest_goes() -> None:
    async with serving(HttpLimits(connections=3, head_s=60, idle_s=60, shutdown_s=0.1)) as served:
        first, second, third = [await served.connect(GET) for _ in range(3)]
        for stream in (first, second, third):
            assert await answer(stream) == "200"
        first[1].write(GET)
        assert await answer(first) == "200"
        assert await answer(await served.connect(GET)) == "200"
        await closed(second)
        for stream in (first, third):
            stream[1].write(GET)
            assert await answer(stream) == "200"


async def test_a_request_at_work_is_never_broken_off_for_a_newcomer() -> None:
    async with serving(HttpLimits(connections=1, head_s=60, idle_s=60, shutdown_s=0.1)) as served:
        first = await served.connect(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            await served.started.wait()
        await closed(await served.connect(GET))
        served.go_on.set()
        assert await answer(first) == "200"
    assert served.drops.reasons == ["refused"]


async def test_a_request_whose_body_never_comes_holds_no_place() -> None:
    async with serving() as served:
        for _ in range(20):
            await served.connect(b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly")
        assert await answer(await served.connect(GET)) == "200"
    assert served.drops.reasons == ["evicted"] * 13


async def test_those_who_went_by_themselves_leave_their_place() -> None:
    async with serving(HttpLimits(connections=1, head_s=60, idle_s=60, shutdown_s=0.1)) as served:
        for _ in range(5):
            stream = await served.connect(b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert await answer(stream) == "200"
            await closed(stream)
    assert served.drops.reasons == []


# --- how long ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /quick HT", b"GET /quick HTTP/1.1\r\nHost: x\r\n"])
async def test_a_request_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    async with serving(HttpLimits(connections=8, head_s=0.05, idle_s=60, shutdown_s=0.1)) as served:
        await closed(await served.connect(sent))
    assert served.drops.reasons == ["slow"]


async def test_a_second_request_must_not_dawdle_either() -> None:
    async with serving(HttpLimits(connections=8, head_s=0.5, idle_s=60, shutdown_s=0.1)) as served:
        stream = await served.connect(GET)
        assert await answer(stream) == "200"
        stream[1].write(b"GET /qui")
        await closed(stream)
    assert served.drops.reasons == ["slow"]


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    async with serving(HttpLimits(connections=8, head_s=60, idle_s=0.05, shutdown_s=0.1)) as served:
        stream = await served.connect(GET)
        assert await answer(stream) == "200"
        await closed(stream)
    assert served.drops.reasons == []


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving(HttpLimits(connections=8, head_s=60, body_s=0.05, idle_s=60, shutdown_s=0.1)) as served:
        stream = await served.connect(b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly")
        assert await answer(stream) == "408"


async def test_a_body_that_its_reader_would_wait_for_is_not_waited_for_either() -> None:
    limits = HttpLimits(connections=8, head_s=0.02, body_s=0.03, idle_s=60, shutdown_s=0.1)
    async with serving(limits) as served:
        await closed(await served.connect(b"PUT /patient HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly"))
    assert served.drops.reasons == ["slow"]


async def test_who_works_on_a_whole_request_may_take_longer_than_its_body() -> None:
    limits = HttpLimits(connections=8, head_s=0.05, body_s=0.05, idle_s=60, shutdown_s=0.1)
    async with serving(limits) as served:
        stream = await served.connect(b"PUT /waits HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly")
        async with asyncio.timeout(PATIENCE_S):
            await served.started.wait()
        stream[1].write(b"slowly")
        asyncio.get_running_loop().call_later(0.3, served.go_on.set)
        assert await answer(stream) == "200"


async def test_a_body_in_pieces_is_put_together() -> None:
    async with serving() as served:
        stream = await served.connect(b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly")
        stream[1].write(b"slowly")
        assert await answer(stream) == "200"


async def test_who_does_not_take_the_answer_is_dropped() -> None:
    async with serving(HttpLimits(connections=8, head_s=60, idle_s=0.2, shutdown_s=0.1)) as served:
        listener = served.port
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", listener))
            await loop.sock_sendall(client, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            await _until(lambda: not served.server._connections._open and served.drops.reasons == [])


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_a_want_of_descriptors_is_told_once_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "_ACCEPT_PAUSE_S", 0.001)
    async with serving() as served:
        # The accept that already waits takes one more connection.
        assert await answer(await served.connect(GET)) == "200"
        accept, refused = asyncio.get_running_loop().sock_accept, 0

        async def sock_accept(listener: socket.socket) -> tuple[socket.socket, object]:
            nonlocal refused
            if refused < 20:
                refused += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return await accept(listener)

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", sock_accept)
        with capture_logs() as logs:
            assert await answer(await served.connect(GET)) == "200"
            assert await answer(await served.connect(GET)) == "200"
        assert refused == 20
    assert [line["event"] for line in logs] == ["http_connection_not_accepted"]


async def test_an_address_that_is_taken_is_an_error_in_plain_words() -> None:
    async with serving() as served:
        second = HttpServer(served.application(), name="ops", limits=ROOMY, telemetry=served.drops)
        with pytest.raises(OSError, match=r"\] Address already in use$"):
            await second.start("127.0.0.1", served.port)
        await second.stop()


async def test_what_is_no_http_is_refused() -> None:
    async with serving() as served:
        stream = await served.connect(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert await answer(stream) == "400"
        await closed(stream)


async def test_stopping_finishes_requests_and_closes_the_rest() -> None:
    async with serving(HttpLimits(connections=8, head_s=60, idle_s=60, shutdown_s=5)) as served:
        silent = await served.connect()
        busy = await served.connect(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            await served.started.wait()
        stopping = asyncio.create_task(served.server.stop())
        await closed(silent)
        served.go_on.set()
        assert await answer(busy) == "200"
        await closed(busy)
        await stopping


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the state belongs to the code under test, which owes no event
            await asyncio.sleep(0.01)
