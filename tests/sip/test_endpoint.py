"""The endpoint on real sockets: datagrams, streams, limits, and what it leaves behind."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import Flow
from bridge.sip.events import CallFailed, IncomingCall, SipEvent
from bridge.sip.io.dns_client import DnsClient
from bridge.sip.io.endpoint import EndpointError
from bridge.sip.io.resolver import Resolver
from bridge.sip.io.stream import MAX_PINGS_PER_S
from bridge.sip.io.streams import MAX_PER_HOST
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.saved import SavedLeg
from bridge.sip.settings import Listener, Transport, Trunk
from bridge.sip.uri import SipUri
from tests.patience import PATIENCE_S
from tests.peers.process import free_port
from tests.sip.name_server import NameServer
from tests.sip.phone import LOOPBACK, Phone, eventually
from tests.sip.scripted_peer import SDP, peer_request

TRUNK = TrunkName("trunk")
PLAIN = (Transport.UDP, Transport.TCP)


def phone(
    *, trunk_host: str = LOOPBACK, transport: Transport = Transport.UDP, resolver: Resolver | None = None
) -> Phone:
    return Phone(Trunk(name=TRUNK, host=trunk_host, port=free_port(), transport=transport), resolver=resolver)


def a_request(method: str, transport: Transport, *, branch: str = "one", **more: str) -> Request:
    request = peer_request(method, branch=branch, call_id=f"call-{branch}", **more)  # type: ignore[arg-type]
    request.headers.set("Via", f"SIP/2.0/{transport.upper()} {LOOPBACK}:9;branch=z9hG4bK{branch};rport")
    return request


class Datagrams:
    """A peer's datagram socket."""

    def __init__(self, port: int, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._socket.connect((LOOPBACK, port))

    def send(self, payload: bytes) -> None:
        self._socket.send(payload)

    async def receive(self) -> Request | Response:
        loop = asyncio.get_running_loop()
        return parse_message(await asyncio.wait_for(loop.sock_recv(self._socket, 65_535), PATIENCE_S))

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def datagrams(to: Phone, host: str = LOOPBACK) -> AsyncIterator[Datagrams]:
    peer = Datagrams(to.port, host)
    try:
        yield peer
    finally:
        peer.close()


@asynccontextmanager
async def stream(to: Phone) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, to.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def read_message(reader: asyncio.StreamReader) -> Request | Response:
    return parse_message(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S))


# Life.


async def test_free_ports_are_taken_and_told() -> None:
    async with Phone(Trunk(name=TRUNK, host=LOOPBACK), transports=(Transport.UDP, Transport.TCP)) as subject:
        assert [listener.transport for listener in subject.endpoint.addresses] == [Transport.UDP, Transport.TCP]
        assert all(listener.port for listener in subject.endpoint.addresses)


@pytest.mark.parametrize("transport", PLAIN)
async def test_a_taken_port_is_a_clear_error(transport: Transport) -> None:
    async with phone(transport=transport) as first:
        second = phone(transport=transport)
        taken = Listener(transport=transport, host=LOOPBACK, port=first.port)
        settings = second.endpoint._settings
        object.__setattr__(settings, "listeners", (taken,))
        with pytest.raises(EndpointError, match="cannot listen"):
            await second.endpoint.start(lambda event: None)


@pytest.mark.parametrize("transport", PLAIN)
async def test_nothing_is_left_after_stop(transport: Transport) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def one_call() -> None:
        async with phone(transport=transport) as subject:
            subject.call("+15550100")
            await subject.wait(CallFailed)

    await one_call()  # What the loop and the tests themselves open on first use is open now.
    files, tasks = open_files(), len(asyncio.all_tasks())
    for _ in range(3):
        await one_call()
    assert (open_files(), len(asyncio.all_tasks())) == (files, tasks)


async def test_events_never_come_from_inside_a_command() -> None:
    async with phone() as subject:
        core = subject.endpoint._core
        assert core is not None
        state = core._context.trunks.get(TRUNK)
        assert state is not None
        state.servers = ()
        subject.call("+15550100")
        assert subject.events == []
        assert (await subject.wait(CallFailed)).status == 503


async def test_a_name_is_resolved() -> None:
    async with phone(trunk_host="localhost") as subject:
        subject.call("+15550100")
        assert (await subject.wait(CallFailed)).status == 503


async def test_an_unknown_name_does_not_keep_the_endpoint_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> list[object]:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    async with phone(trunk_host="trunk") as subject:
        subject.call("+15550100")
        assert (await subject.wait(CallFailed)).status == 503


# Datagrams.


async def test_garbage_harms_nobody() -> None:
    async with phone() as subject, datagrams(subject) as peer:
        for payload in (
            b"",
            b"\r\n\r\n",
            b"\0" * 100,
            b"garbage",
            b"INVITE\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
            b"\xff" * 9000,
        ):
            peer.send(payload)
        peer.send(bytes(a_request("OPTIONS", Transport.UDP)))
        while True:
            response = await peer.receive()
            if isinstance(response, Response) and response.status == 200:
                break


async def test_a_stranger_is_not_read() -> None:
    async with phone(trunk_host="127.0.0.9") as subject:
        async with datagrams(subject) as stranger, datagrams(subject, "127.0.0.9") as known:
            stranger.send(bytes(a_request("OPTIONS", Transport.UDP)))
            known.send(bytes(a_request("OPTIONS", Transport.UDP, branch="two")))
            await known.receive()
        assert subject.telemetry.counts["sip_dropped_total reason=acl"] == 1


async def test_a_fault_in_a_handler_reaches_no_other_call() -> None:
    def faulty(subject: Phone, event: SipEvent) -> None:
        if isinstance(event, IncomingCall) and event.sip_call_id == "call-bad":
            raise ValueError("a bug")

    subject = Phone(Trunk(name=TRUNK, host=LOOPBACK, port=free_port()), on_event=faulty)
    async with subject, datagrams(subject) as peer:
        peer.send(bytes(a_request("INVITE", Transport.UDP, branch="bad", sdp=SDP)))
        peer.send(bytes(a_request("INVITE", Transport.UDP, branch="good", sdp=SDP)))
        for _ in range(2):
            await peer.receive()
        await eventually(lambda: len(subject.of(IncomingCall)) == 2)
        assert subject.telemetry.counts["internal_errors_total component=sip"] == 1


async def test_a_fault_in_the_core_is_counted_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    async with phone() as subject, datagrams(subject) as peer:
        core = subject.endpoint._core
        assert core is not None
        with monkeypatch.context() as patch:
            patch.setattr(core, "_receive", lambda *_: 1 / 0)
            for _ in range(3):  # BYE, because a busy machine sheds OPTIONS.
                peer.send(bytes(a_request("BYE", Transport.UDP, to_tag="gone")))
            await eventually(lambda: subject.telemetry.counts["internal_errors_total component=sip"] == 3)
        peer.send(bytes(a_request("BYE", Transport.UDP, to_tag="gone")))
        assert isinstance(await peer.receive(), Response)


async def test_a_call_of_the_last_process_whose_way_cannot_be_does_not_keep_the_bridge_from_starting() -> None:
    """A fault in a file that is read at every start would come again at every start."""
    nowhere = Flow(transport=Transport.UDP, host=LOOPBACK, port=10**30)
    invite = bytes(a_request("INVITE", Transport.UDP)).decode()
    leg = SavedLeg(trunk=TRUNK, flow=nowhere, secure=False, local_tag="ours", invite=invite)
    async with phone() as subject:
        subject.endpoint.revive(DialogKey("left-over"), leg)
        subject.endpoint.reject(DialogKey("left-over"), 500)
        await eventually(lambda: subject.telemetry.counts["internal_errors_total component=sip"] > 0)


async def test_a_peer_that_proves_unreachable_within_a_command_is_told_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with phone() as subject:
        bound = subject.endpoint._network._sockets[0]

        def refuse(payload: bytes, host: str, port: int) -> bool:
            """As the kernel, which reports an earlier datagram when the next one is sent."""
            bound._on_unreachable(host, port)
            return True

        monkeypatch.setattr(bound, "send", refuse)
        subject.call("+15550100")
        assert subject.events == []
        assert (await subject.wait(CallFailed)).status == 503


async def test_a_stream_that_fails_within_a_command_is_told_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with phone(transport=Transport.TCP) as subject:
        monkeypatch.setattr(subject.endpoint._network._pool, "_dial", lambda peer: None)
        subject.call("+15550100")
        assert subject.events == []
        assert (await subject.wait(CallFailed)).status == 503


async def test_a_peer_that_names_its_host_is_read_at_the_address_of_that_name() -> None:
    async with (
        NameServer() as server,
        phone(resolver=Resolver(DnsClient((server.address,)))) as subject,
        datagrams(subject) as peer,
        datagrams(subject, "127.0.0.9") as gateway,
    ):
        server.add("gateway.example.org", "A", "127.0.0.9")
        invite = a_request("INVITE", Transport.UDP, sdp=SDP)
        invite.headers.set("Contact", "<sip:peer@gateway.example.org>")
        peer.send(bytes(invite))
        await eventually(lambda: subject.endpoint._admits("127.0.0.9"))
        gateway.send(bytes(a_request("OPTIONS", Transport.UDP, branch="two")))
        assert isinstance(await gateway.receive(), Response)


@pytest.mark.parametrize("transport", PLAIN)
async def test_answers_name_the_listener_that_was_asked(transport: Transport) -> None:
    trunk = Trunk(name=TRUNK, host=LOOPBACK, port=free_port(), transport=transport)
    async with Phone(trunk, transports=(transport, transport)) as subject:
        for listener in subject.endpoint.addresses:
            branch = str(listener.port)
            invite = bytes(a_request("INVITE", transport, branch=branch, sdp=SDP))
            if transport is Transport.UDP:
                peer = Datagrams(listener.port, LOOPBACK)
                peer.send(invite)
                responses = [await peer.receive() for _ in range(3)]
                peer.close()
            else:
                reader, writer = await asyncio.open_connection(LOOPBACK, listener.port)
                writer.write(invite)
                responses = [await read_message(reader) for _ in range(2)]
                writer.close()
                await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            contact = responses[1].contacts[0].uri
            assert isinstance(contact, SipUri)
            assert contact.port == listener.port


@pytest.mark.parametrize("transport", PLAIN)
async def test_a_listener_of_ipv6_leaves_ipv4_to_another(transport: Transport) -> None:
    subject = phone(transport=transport)
    # Not a port that the system picks: it could be in use over IPv4 already.
    listener = Listener(transport=transport, host="::", port=free_port())
    object.__setattr__(subject.endpoint._settings, "listeners", (listener,))
    async with subject:
        kind = socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as other:
            other.bind(("0.0.0.0", subject.port))


# Streams.


async def test_a_message_may_come_byte_by_byte_and_several_at_once() -> None:
    async with phone(transport=Transport.TCP) as subject, stream(subject) as (reader, writer):
        request = bytes(a_request("OPTIONS", Transport.TCP))
        for position in range(len(request)):
            writer.write(request[position : position + 1])
            await writer.drain()
        assert isinstance(await read_message(reader), Response)
        writer.write(b"".join(bytes(a_request("OPTIONS", Transport.TCP, branch=str(n))) for n in range(5)))
        branches = [(await read_message(reader)).via.branch for _ in range(5)]
        assert branches == [f"z9hG4bK{n}" for n in range(5)]


async def test_a_ping_gets_a_pong() -> None:
    async with phone(transport=Transport.TCP) as subject, stream(subject) as (reader, writer):
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE_S) == b"\r\n"


async def test_a_flood_of_pings_ends_the_connection() -> None:
    async with phone(transport=Transport.TCP) as subject, stream(subject) as (reader, writer):
        writer.write(b"\r\n\r\n" * (MAX_PINGS_PER_S * 3))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(2 * MAX_PINGS_PER_S * 3), PATIENCE_S)


@pytest.mark.parametrize("length", ["99999999", "-1", "nonsense"])
async def test_a_length_that_cannot_be_ends_the_connection(length: str) -> None:
    async with phone(transport=Transport.TCP) as subject, stream(subject) as (reader, writer):
        request = bytes(a_request("OPTIONS", Transport.TCP)).replace(
            b"Content-Length: 0", f"Content-Length: {length}".encode()
        )
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert answer.startswith((b"SIP/2.0 400", b"SIP/2.0 413", b"SIP/2.0 513"))


async def test_a_stranger_may_not_even_connect() -> None:
    async with phone(trunk_host="127.0.0.9", transport=Transport.TCP) as subject:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with stream(subject) as (reader, _):
                await asyncio.wait_for(reader.readexactly(1), PATIENCE_S)
        assert subject.telemetry.counts["sip_dropped_total reason=acl"] == 1


async def test_one_address_gets_only_so_many_connections() -> None:
    async with phone(transport=Transport.TCP) as subject:
        writers = []
        for _ in range(MAX_PER_HOST + 5):
            _, writer = await asyncio.open_connection(LOOPBACK, subject.port)
            writers.append(writer)
        await eventually(lambda: subject.telemetry.counts["sip_dropped_total reason=overload"] == 5)
        assert len(subject.endpoint._network._pool) == MAX_PER_HOST
        for writer in writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_answers_take_the_connection_and_new_requests_reuse_it() -> None:
    async with Phone(Trunk(name=TRUNK, host=LOOPBACK, port=free_port(), transport=Transport.TCP)) as callee:
        trunk = Trunk(name=TRUNK, host=LOOPBACK, port=callee.port, transport=Transport.TCP)
        async with Phone(trunk) as caller:
            for count in range(1, 4):
                dialog = caller.call("+15550100")
                await callee.wait(IncomingCall, count=count)
                await eventually(lambda: caller.endpoint.open_dialogs == 1)
                caller.endpoint.bye(dialog)
                await eventually(lambda: not callee.endpoint.open_dialogs and not caller.endpoint.open_dialogs)
            assert len(caller.endpoint._network._pool) <= 2
