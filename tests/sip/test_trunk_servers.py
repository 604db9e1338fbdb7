"""A trunk with several servers that a name server lists, some of them out of order: real sockets, sipp and Kamailio."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.events import CallAnswered, CallFailed, SipEvent
from bridge.sip.io import dns_client, resolver, trunk_finder
from bridge.sip.io.dns_client import DnsClient
from bridge.sip.io.resolver import Resolver
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.patience import PATIENCE_S
from tests.peers.kamailio import Kamailio
from tests.peers.process import free_port
from tests.peers.sipp import SippUas
from tests.sip.name_server import NameServer
from tests.sip.phone import LOOPBACK, Phone, eventually, sdp

TRUNK = TrunkName("trunk")
NAME = "trunk.example.org"
NUMBER = "+15550100"
SCENARIOS = Path(__file__).parents[1] / "peers" / "scenarios"
FAILOVER_S = 1.0
FAILOVERS = "sip_failovers_total reason={reason} trunk=trunk"


def hang_up_when_answered(phone: Phone, event: SipEvent) -> None:
    if isinstance(event, CallAnswered):
        phone.endpoint.bye(event.dialog, q850=16)


def serve(server: NameServer, *ports: int, transport: Transport = Transport.UDP) -> None:
    """List these ports of the loopback address, in this order."""
    prefix = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}[transport]
    server.add(f"{prefix}.{NAME}", "SRV", *(f"{rank} 0 {port} h{rank}.{NAME}." for rank, port in enumerate(ports)))
    for rank in range(len(ports)):
        server.add(f"h{rank}.{NAME}", "A", LOOPBACK)


@asynccontextmanager
async def phone_of(server: NameServer, **settings: object) -> AsyncIterator[Phone]:
    trunk = Trunk(**{"name": TRUNK, "host": NAME, "failover_after_s": FAILOVER_S, **settings})  # type: ignore[arg-type]
    async with Phone(trunk, resolver=Resolver(DnsClient((server.address,))), on_event=hang_up_when_answered) as phone:
        yield phone


@contextmanager
def silence() -> Iterator[int]:
    """A port that takes datagrams and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((LOOPBACK, 0))
        yield bound.getsockname()[1]


async def answered(phone: Phone) -> None:
    """Call, until somebody answers: long before a request to a silent server would end by itself (64·T1, 32 s)."""
    phone.call(NUMBER)
    await phone.wait(CallAnswered)
    assert not phone.of(CallFailed)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_a_call_passes_a_server_that_is_not_there(tmp_path: Path, transport: Transport) -> None:
    async with NameServer() as server, SippUas(tmp_path, transport=transport.value) as uas:
        serve(server, free_port(), uas.port, transport=transport)
        async with phone_of(server, transport=transport) as phone:
            await answered(phone)
            assert phone.telemetry.counts[FAILOVERS.format(reason="transport")] == 1
            await eventually(lambda: phone.endpoint.open_dialogs == 0)


async def test_a_call_passes_a_server_that_is_silent(tmp_path: Path) -> None:
    async with NameServer() as server, SippUas(tmp_path) as uas:
        with silence() as port:
            serve(server, port, uas.port)
            async with phone_of(server) as phone:
                await answered(phone)
                assert phone.telemetry.counts[FAILOVERS.format(reason="silent")] == 1


async def test_a_call_passes_a_server_that_has_no_room_and_the_next_one_avoids_it(tmp_path: Path) -> None:
    busy = SippUas(tmp_path, scenario=SCENARIOS / "uas_unavailable.xml")
    async with NameServer() as server, busy, SippUas(tmp_path) as uas:
        serve(server, busy.port, uas.port)
        async with phone_of(server) as phone:
            await answered(phone)
            phone.call(NUMBER)
            await phone.wait(CallAnswered, count=2)
            assert phone.telemetry.counts[FAILOVERS.format(reason="unavailable")] == 1


async def test_a_call_passes_three_servers_in_different_kinds_of_trouble(tmp_path: Path) -> None:
    busy = SippUas(tmp_path, scenario=SCENARIOS / "uas_unavailable.xml")
    async with NameServer() as server, busy, SippUas(tmp_path) as uas:
        with silence() as port:
            serve(server, free_port(), busy.port, port, uas.port)
            async with phone_of(server) as phone:
                await answered(phone)
                assert all(
                    phone.telemetry.counts[FAILOVERS.format(reason=reason)] for reason in ("transport", "silent")
                )


@pytest.mark.parametrize("fault", ["silent", "failing"])
async def test_a_name_server_in_trouble_keeps_nobody_waiting_and_the_trunk_is_found_once_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(dns_client, "QUESTION_LIMIT_S", 0.2)
    for module, name in ((dns_client, "FAILURE_TTL_S"), (resolver, "FAILURE_TTL_S"), (trunk_finder, "MIN_WAIT_S")):
        monkeypatch.setattr(module, name, 0.1)
    async with NameServer() as server, SippUas(tmp_path) as uas:
        setattr(server, fault, True)
        serve(server, uas.port)
        async with asyncio.timeout(PATIENCE_S), phone_of(server) as phone:
            phone.call(NUMBER)
            assert (await phone.wait(CallFailed, limit_s=10.0)).status == 503
            setattr(server, fault, False)
            await eventually(lambda: bool(phone.endpoint._core and phone.endpoint._core.is_next_hop(flow_to(uas))))
            phone.call(NUMBER)
            await phone.wait(CallAnswered)


def flow_to(uas: SippUas) -> Flow:
    return Flow(transport=Transport.UDP, host=LOOPBACK, port=uas.port)


async def test_a_registration_passes_a_server_that_is_not_there(tmp_path: Path) -> None:
    async with NameServer() as server, Kamailio(tmp_path, {NUMBER: "secret"}) as kamailio:
        serve(server, free_port(), kamailio.port)
        account = {"auth": TrunkAuth.REGISTER, "username": NUMBER, "password": "secret", "domain": kamailio.domain}
        async with phone_of(server, **account) as phone:
            await phone.wait_trunk_up()
            assert phone.telemetry.counts["registrations_total outcome=granted trunk=trunk"] == 1
            assert phone.telemetry.counts["registrations_total outcome=failed trunk=trunk"] == 0


@pytest.mark.parametrize("follow", [True, False])
async def test_a_redirection_is_followed_where_the_trunk_may_redirect(tmp_path: Path, follow: bool) -> None:
    async with SippUas(tmp_path) as uas:
        options = ("-key", "elsewhere", f"sip:{NUMBER}@{LOOPBACK}:{uas.port}")
        scenario = SCENARIOS / "uas_redirect.xml"
        async with SippUas(tmp_path, scenario=scenario, calls=1, options=options) as redirector:
            trunk = Trunk(name=TRUNK, host=LOOPBACK, port=redirector.port, follow_redirects=follow)
            async with Phone(trunk, on_event=hang_up_when_answered) as phone:
                phone.call(NUMBER)
                if follow:
                    await phone.wait(CallAnswered)
                    assert not phone.of(CallFailed)
                else:
                    assert (await phone.wait(CallFailed)).status == 302
                assert await redirector.wait_exit(limit_s=PATIENCE_S) == 0
                await eventually(lambda: phone.endpoint.open_dialogs == 0)


class Callee:
    """A datagram socket that is called by hand."""

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]

    async def receive(self) -> tuple[Request | Response, tuple[str, int]]:
        loop = asyncio.get_running_loop()
        payload, source = await asyncio.wait_for(loop.sock_recvfrom(self._socket, 65_535), PATIENCE_S)
        return parse_message(payload), source

    def answer(self, request: Request, source: tuple[str, int], **fields: str) -> None:
        body = sdp().encode() if request.method == "INVITE" else b""
        headers = [*fields.items(), *([("Content-Type", "application/sdp")] if body else [])]
        self._socket.sendto(bytes(request.response(200, to_tag="callee", headers=headers, body=body)), source)

    def close(self) -> None:
        self._socket.close()


async def taken(gateway: Callee) -> Request:
    """The BYE that comes in the end."""
    while not isinstance(request := (await gateway.receive())[0], Request) or request.method != "BYE":
        pass
    return request


async def test_requests_of_a_dialog_find_their_next_hop_in_the_dns_and_pass_its_dead_address() -> None:
    async with NameServer() as server:
        edge, gateway = Callee(), Callee("127.0.0.9")
        dead, alive = f"10 0 {free_port()} a.{NAME}.", f"20 0 {gateway.port} b.{NAME}."
        server.add("_sip._udp.gateway.example.org", "SRV", dead, alive)
        server.add(f"a.{NAME}", "A", "127.0.0.8")
        server.add(f"b.{NAME}", "A", "127.0.0.9")
        trunk = Trunk(name=TRUNK, host=LOOPBACK, port=edge.port)
        async with Phone(trunk, resolver=Resolver(DnsClient((server.address,)))) as phone:
            dialog = phone.call(NUMBER)
            invite, source = await edge.receive()
            assert isinstance(invite, Request)
            edge.answer(invite, source, Contact="<sip:peer@gateway.example.org>")
            await phone.wait(CallAnswered)
            phone.endpoint.bye(dialog)
            gateway.answer(await taken(gateway), source)
            await eventually(lambda: phone.endpoint.open_dialogs == 0)
        edge.close()
        gateway.close()


async def test_over_streams_they_pass_it_as_well() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_535):
            heard.put_nowait(data)
        writer.close()

    gateway = await asyncio.start_server(listen, "127.0.0.9", 0)
    async with gateway, NameServer() as server:
        edge = Callee()
        server.add("gateway.example.org", "A", "127.0.0.8", "127.0.0.9")
        trunk = Trunk(name=TRUNK, host=LOOPBACK, port=edge.port)
        names = Resolver(DnsClient((server.address,)))
        async with Phone(trunk, transports=(Transport.UDP, Transport.TCP), resolver=names) as phone:
            dialog = phone.call(NUMBER)
            invite, source = await edge.receive()
            assert isinstance(invite, Request)
            port = gateway.sockets[0].getsockname()[1]
            edge.answer(invite, source, Contact=f"<sip:peer@gateway.example.org:{port};transport=tcp>")
            await phone.wait(CallAnswered)
            phone.endpoint.bye(dialog)
            async with asyncio.timeout(PATIENCE_S):
                while b"BYE" not in await heard.get():
                    pass
        edge.close()
