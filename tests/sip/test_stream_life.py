"""When a stream counts as dead: pongs that stay out, requests without answer, a kernel that gives up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bridge.core.telemetry import NoTelemetry
from bridge.sip.actions import ClientKey, Flow
from bridge.sip.io.stream import PING_INTERVAL_S, PONG_LIMIT_S, USER_TIMEOUT_S, Stream
from bridge.sip.io.streams import StreamPool
from bridge.sip.io.tls_contexts import TlsContexts
from bridge.sip.settings import SipSettings, Transport
from tests.patience import PATIENCE_S
from tests.sip.phone import LOOPBACK, CountingTelemetry, eventually


@dataclass(slots=True, kw_only=True)
class Peer:
    """A pool with one dialled stream, and its other end."""

    pool: StreamPool
    closed: list[Flow] = field(default_factory=list)
    sent: list[tuple[ClientKey, int]] = field(default_factory=list)
    """Which request went by which stream."""
    port: int = 0
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def stream(self) -> Stream:
        (stream,) = self.pool._streams.values()
        return stream

    @property
    def flow(self) -> Flow:
        return Flow(transport=Transport.TCP, host=LOOPBACK, port=self.port)

    def after(self, seconds: float) -> None:
        """Let the stream be older by so much, and look after it as the timer does."""
        for name in ("opened_at", "heard_at", "partial_since", "pinged_at"):
            setattr(self.stream, name, getattr(self.stream, name) - seconds)
        self.pool._close_silent()

    async def pinged(self) -> None:
        assert await asyncio.wait_for(self.reader.readexactly(4), PATIENCE_S) == b"\r\n\r\n"

    async def write(self, payload: bytes) -> None:
        heard_at = self.stream.heard_at
        self.writer.write(payload)
        await eventually(lambda: self.stream.heard_at > heard_at)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    accepted: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    server = await asyncio.start_server(lambda *ends: accepted.append(ends), LOOPBACK, 0)
    closed: list[Flow] = []
    failed: list[ClientKey] = []
    sent: list[tuple[ClientKey, int]] = []
    pool = StreamPool(
        telemetry=CountingTelemetry(),
        contexts=TlsContexts(SipSettings(listeners=()), NoTelemetry()),
        admits=lambda host: True,
        keeps=lambda flow: True,
        on_message=lambda payload, flow: None,
        on_sent=lambda key, number: sent.append((key, number)),
        on_failed=failed.append,
        on_closed=closed.append,
        on_insecure=lambda peer, direction, reason: None,
    )
    port = server.sockets[0].getsockname()[1]
    pool.send(b"x", Flow(transport=Transport.TCP, host=LOOPBACK, port=port), None)
    await eventually(lambda: len(accepted) == 1)
    reader, writer = accepted[0]
    await asyncio.wait_for(reader.readexactly(1), PATIENCE_S)
    yield Peer(pool=pool, closed=closed, sent=sent, port=port, reader=reader, writer=writer)
    await pool.close()
    for _, end in accepted:
        end.close()
        await asyncio.gather(end.wait_closed(), return_exceptions=True)
    server.close()
    await server.wait_closed()


async def test_a_peer_that_answered_pings_and_stops_is_gone(peer: Peer) -> None:
    peer.after(PING_INTERVAL_S + 1)
    await peer.pinged()
    await peer.write(b"\r\n")
    peer.after(PING_INTERVAL_S + 1)
    await peer.pinged()
    peer.after(PONG_LIMIT_S + 1)
    await eventually(lambda: len(peer.closed) == 1)
    assert peer.closed[0].address == peer.flow.address


async def test_a_peer_that_never_answers_pings_is_kept(peer: Peer) -> None:
    for _ in range(3):
        peer.after(PING_INTERVAL_S + 1)
        await peer.pinged()
    peer.after(PONG_LIMIT_S + 1)
    assert not peer.stream._transport.is_closing()  # type: ignore[union-attr]


async def test_anything_that_comes_after_a_ping_is_as_good_as_a_pong(peer: Peer) -> None:
    for _ in range(2):
        peer.after(PING_INTERVAL_S + 1)
        await peer.pinged()
        await peer.write(b"\r\n")
    peer.after(PING_INTERVAL_S + 1)
    await peer.pinged()
    await peer.write(b"OPTIONS ")
    peer.stream.pinged_at -= PONG_LIMIT_S + 1
    peer.pool._close_silent()
    assert not peer.stream._transport.is_closing()  # type: ignore[union-attr]


async def test_a_line_end_that_answers_no_ping_promises_no_pongs(peer: Peer) -> None:
    await peer.write(b"\r\n")
    assert not peer.stream.answers_pings


async def test_a_silent_stream_by_which_no_answer_came_is_ended(peer: Peer) -> None:
    peer.after(33)
    peer.pool.doubt(peer.flow, 32)
    await eventually(lambda: len(peer.closed) == 1)


async def test_a_stream_by_which_other_messages_came_is_kept(peer: Peer) -> None:
    peer.after(33)
    await peer.write(b"OPTIONS ")
    peer.pool.doubt(peer.flow, 32)
    assert not peer.stream._transport.is_closing()  # type: ignore[union-attr]


async def test_the_kernel_gives_up_on_what_is_not_acknowledged(peer: Peer) -> None:
    connection = peer.stream._transport.get_extra_info("socket")  # type: ignore[union-attr]
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_S * 1000


async def test_it_is_told_by_which_stream_a_request_has_left(peer: Peer) -> None:
    first, second = ClientKey("one", "OPTIONS"), ClientKey("two", "OPTIONS")
    peer.pool.send(b"y", peer.flow, first)
    peer.pool.send(b"z", peer.flow, None)
    number = peer.stream.number
    peer.stream.close()
    await eventually(lambda: len(peer.closed) == 1)
    peer.pool.send(b"x", peer.flow, second)
    await eventually(lambda: len(peer.sent) == 2)
    assert peer.sent == [(first, number), (second, peer.stream.number)]
    assert peer.stream.number != number == peer.closed[0].connection


async def test_a_peer_that_has_promised_pongs_is_gone_without_the_first(peer: Peer) -> None:
    peer.pool.ping(peer.flow, answered=True)
    await peer.pinged()
    peer.after(PONG_LIMIT_S + 1)
    await eventually(lambda: len(peer.closed) == 1)
