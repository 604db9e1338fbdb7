"""Addresses: what the outside knows us as, servers that help, both versions of IP, on either packet path."""

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aioice.ice
import pytest
from aioice import stun
from structlog.testing import capture_logs

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711, gathering
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaConnected, MediaEvent
from bridge.media.ice_servers import IceServers, StunServer, TurnServer, TurnTransport
from bridge.media.ice_socket import GuardedProtocol
from bridge.media.ports import PortPool
from bridge.media.relay import RelayTransport
from bridge.media.settings import MediaSettings
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser
from tests.media.test_dtls import answer_of_ours, is_heard_on, talk
from tests.media.waiting import Collected
from tests.media.webrtc_stacks import libwebrtc
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority
from tests.peers.coturn import PASSWORD, SECRET, USER, Coturn

SPEECH, CLIENT_SPEECH = (g711.ulaw_encode(tone_frames(pitch, 1)[0]) for pitch in (700, 900))
OUTSIDE = ("198.51.100.7", 40_000)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests may take longer than a call may be delayed."""
    monkeypatch.setattr(gathering, "WAIT_S", 5.0)
    monkeypatch.setattr(gathering, "ANSWER_LIMIT_S", PATIENCE_S)


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    async with Coturn(tmp_path, identity=Authority(tmp_path).issue()) as server:
        yield server


class Engines:
    """Engines with other settings than the fixture's, stopped at the end."""

    def __init__(self, settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]) -> None:
        self._settings, self._telemetry, self._events = settings, telemetry, events
        self._made: list[EmbeddedEngine] = []

    async def __call__(self, **changes: Any) -> EmbeddedEngine:
        settings = replace(self._settings, **changes)
        engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=self._telemetry)
        self._made.append(engine)
        await engine.start(self._events.add)
        return engine

    async def stop(self) -> None:
        for engine in self._made:
            await engine.stop()


@pytest.fixture
async def engines(
    settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]
) -> AsyncIterator[Engines]:
    engines = Engines(settings, telemetry, events)
    yield engines
    await engines.stop()


def turn_server(coturn: Coturn, transport: TurnTransport = TurnTransport.UDP, **changes: Any) -> TurnServer:
    port = coturn.tls_port if transport is TurnTransport.TLS else coturn.port
    credentials = {"username": USER, "password": PASSWORD} | changes
    return TurnServer(host=coturn.host, port=port, transport=transport, **credentials)


def candidates(sdp: str) -> list[tuple[str, int, str]]:
    """Address, port and type of each candidate."""
    found = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ (\w+)", sdp)
    return [(host, int(port), kind) for host, port, kind in found]


async def until_both_are_heard(phone: Phone, browser: Browser) -> None:
    """Both speak until both have heard the other."""

    def heard(listener: Phone | Browser, speech: bytes) -> bool:
        return any(packet.payload == speech for packet in listener.received.items)

    async with asyncio.timeout(PATIENCE_S):
        while not (heard(browser, SPEECH) and heard(phone, CLIENT_SPEECH)):
            phone.send(SPEECH)
            await browser.send(CLIENT_SPEECH, 0, step=160)
            await asyncio.sleep(0.010)


def close_the_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that our own sockets send reach a client."""
    send = GuardedProtocol.send_stun

    def filtered(self: GuardedProtocol, message: stun.Message, addr: tuple[str, int]) -> None:
        if isinstance(self.transport, RelayTransport):
            send(self, message, addr)

    monkeypatch.setattr(GuardedProtocol, "send_stun", filtered)


@pytest.mark.parametrize("transport", TurnTransport)
async def test_audio_goes_through_a_turn_server_where_nothing_else_gets_through(
    engines: Engines,
    coturn: Coturn,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    tmp_path: Path,
    transport: TurnTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "Test-Authority.pem"))
    close_the_firewall(monkeypatch)
    engine = await engines(turn_servers=(turn_server(coturn, transport),))
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert {kind for _, _, kind in candidates(browser.connection.remoteDescription.sdp)} == {"host", "relay"}
    await until_both_are_heard(phone, browser)
    digit = CLIENT_SPEECH[::-1]
    await browser.send(digit, 0, step=160)
    await phone.received.until(lambda packets: any(packet.payload == digit for packet in packets))
    await session.close()
    await coturn.given_back()


async def test_a_relay_goes_on_after_consent_was_renewed_many_times(
    engines: Engines,
    coturn: Coturn,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checks of either side, and what the server says, find their way although someone else reads the socket."""
    close_the_firewall(monkeypatch)
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 3)
    engine = await engines(turn_servers=(turn_server(coturn),))
    browser = new_browser("PCMU")
    await call_out(engine, browser, phone)
    for _ in range(40):
        await until_both_are_heard(phone, browser)
        browser.received.clear()
        phone.received.clear()
        await asyncio.sleep(0.02)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_client_that_restarts_ice_is_heard_through_another_allocation(
    engines: Engines,
    coturn: Coturn,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which is there only after somebody else has begun to read the new path's sockets."""
    close_the_firewall(monkeypatch)
    engine = await engines(turn_servers=(turn_server(coturn),))
    async with contextlib.AsyncExitStack() as closing:
        client = await libwebrtc("ECDSA")
        closing.push_async_callback(client.close)
        session = await engine.open(CALL)
        await client.take_answer(await answer_of_ours(session, await client.offer(), phone))
        await talk(session, client, phone)
        await session.set_matrix_offer(await client.offer_on_another_network())
        answer = await session.create_matrix_answer()
        assert [kind for _, _, kind in candidates(answer)] == ["host", "relay"]
        await client.take_answer(answer)
        async with asyncio.timeout(PATIENCE_S):
            while not telemetry.total("ice_restarts_total", result="success"):
                await client.speak()
                await asyncio.sleep(0.02)
        await is_heard_on(session, client)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_credentials_can_be_made_from_the_secret_of_a_homeserver(engines: Engines, tmp_path: Path) -> None:
    async with Coturn(tmp_path, shared_secret=True) as coturn:
        engine = await engines(turn_servers=(turn_server(coturn, username="", shared_secret=SECRET),))
        offer = await (await engine.open(CALL)).create_matrix_offer()
        assert [kind for _, _, kind in candidates(offer)] == ["host", "relay"]


class FakeStun(asyncio.DatagramProtocol):
    """Sees every request come from one public address, or says nothing."""

    def __init__(self) -> None:
        self.answers = True
        self.asked: Collected[bytes] = Collected()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.add(data)
        request = stun.parse_message(data)
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = OUTSIDE
        if self.answers:
            self.transport.sendto(bytes(response), addr)


@pytest.fixture
async def fake_stun() -> AsyncIterator[FakeStun]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(FakeStun, local_addr=("127.0.0.1", 0))
    yield server
    transport.close()


async def test_the_address_that_a_stun_server_sees_is_a_candidate_and_is_kept_open(
    engines: Engines, fake_stun: FakeStun, telemetry: CountingTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "KEEP_ALIVE_S", 0.01)
    engine = await engines(stun_servers=(StunServer(host="localhost", port=fake_stun.port),))
    offer = await (await engine.open(CALL)).create_matrix_offer()
    (host, port, kind), outside = candidates(offer)
    assert (host, kind) == ("127.0.0.1", "host")
    assert outside == (*OUTSIDE, "srflx")
    assert f"typ srflx raddr 127.0.0.1 rport {port}\r\n" in offer
    await fake_stun.asked.count(3)
    assert telemetry.total("ice_servers_asked_total", kind="stun", result="success") == 1


async def test_servers_that_are_dead_delay_a_call_once_and_are_left_alone_then(
    engines: Engines,
    fake_stun: FakeStun,
    telemetry: CountingTelemetry,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "WAIT_S", 0.05)
    monkeypatch.setattr(gathering, "ANSWER_LIMIT_S", 0.2)
    fake_stun.answers = False
    stun_server = StunServer(host="127.0.0.1", port=fake_stun.port)
    turn = TurnServer(host="127.0.0.1", port=fake_stun.port, username=USER, password=PASSWORD)
    nowhere = replace(turn, host="no-such-host.invalid")
    engine = await engines(stun_servers=(stun_server,), turn_servers=(turn, nowhere))
    with capture_logs() as lines:
        await call_out(engine, new_browser(), phone)
        await events.count(1)
        await telemetry.until(3, "ice_servers_asked_total", result="failed")
    assert sorted(line["kind"] for line in lines if line["event"] == "ice_server_failed") == ["stun", "turn", "turn"]
    asked = len(fake_stun.asked.items)
    offer = await (await engine.open(CallId("call-2"))).create_matrix_offer()
    assert [kind for _, _, kind in candidates(offer)] == ["host"]
    assert len(fake_stun.asked.items) == asked


async def test_a_server_that_refuses_us_costs_a_call_nothing_but_its_help(
    engines: Engines, coturn: Coturn, telemetry: CountingTelemetry
) -> None:
    engine = await engines(turn_servers=(turn_server(coturn, password="another"),))
    offer = await (await engine.open(CALL)).create_matrix_offer()
    assert [kind for _, _, kind in candidates(offer)] == ["host"]
    await telemetry.until(1, "ice_servers_asked_total", kind="turn", result="failed")


async def test_a_turn_server_that_dies_in_a_call_does_not_keep_it_from_ending(
    engines: Engines, coturn: Coturn, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    engine = await engines(turn_servers=(turn_server(coturn),))
    session = await call_out(engine, new_browser(), phone)
    await events.count(1)
    await coturn.stop()
    await asyncio.wait_for(session.close(), PATIENCE_S)


async def test_a_connection_to_a_turn_server_that_breaks_while_a_call_is_set_up_costs_only_the_relay(
    engines: Engines, coturn: Coturn, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    engine, browser = await engines(turn_servers=(turn_server(coturn, TurnTransport.TCP),)), new_browser("PCMU")
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    assert [kind for _, _, kind in candidates(offer)] == ["host", "relay"]
    await coturn.stop()
    await session.set_matrix_answer(await browser.answer(offer))
    phone.aim(await session.create_sip_answer())
    await browser.connected()
    await until_both_are_heard(phone, browser)
    assert events.items == [MediaConnected(call_id=CALL)]


FAMILIES = {4: "127.0.0.1", 6: "::1"}


@pytest.mark.parametrize(("client", "trunk"), [(4, 6), (6, 4), (6, 6)])
async def test_each_side_may_be_of_either_version_of_ip(
    engines: Engines,
    events: Collected[MediaEvent],
    new_browser: NewBrowser,
    client: int,
    trunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [FAMILIES[client]])
    engine = await engines(webrtc_hosts=(FAMILIES[client],), rtp_host=FAMILIES[trunk])
    phone, browser = await Phone.open(FAMILIES[trunk]), new_browser("PCMU")
    session = await engine.open(CALL)
    await session.set_matrix_offer(await browser.offer())
    offer = await session.create_sip_offer()
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp())
    answer = await session.create_matrix_answer()
    await browser.take_answer(answer)
    await browser.connected()
    await until_both_are_heard(phone, browser)
    for description, version, host in ((offer, trunk, FAMILIES[trunk]), (answer, client, FAMILIES[client])):
        assert f"c=IN IP{version} {host}\r\n" in description
        assert f"IN IP{10 - version}" not in description
    await phone.close()


async def test_a_client_with_both_versions_of_ip_is_offered_both(
    engines: Engines, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    engine = await engines(webrtc_hosts=("127.0.0.1", "::1"))
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    assert [(host, kind) for host, _, kind in candidates(offer)] == [("127.0.0.1", "host"), ("::1", "host")]
    await session.set_matrix_answer(await new_browser().answer(offer))
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_each_version_of_ip_has_an_outside_of_its_own(engines: Engines) -> None:
    engine = await engines(webrtc_hosts=("127.0.0.1", "::1"), advertised_hosts=("198.51.100.7", "2001:db8::7"))
    session = await engine.open(CALL)
    matrix, sip = await session.create_matrix_offer(), await session.create_sip_offer()
    assert [host for host, _, _ in candidates(matrix)] == ["198.51.100.7", "2001:db8::7"]
    assert "c=IN IP4 198.51.100.7\r\n" in sip
    assert not any(local in matrix + sip for local in ("127.0.0.1", "::1 "))


async def test_what_is_known_of_the_other_version_says_nothing_to_a_phone(engines: Engines) -> None:
    engine = await engines(rtp_host="::1", advertised_hosts=("198.51.100.7",))
    assert "c=IN IP6 ::1\r\n" in await (await engine.open(CALL)).create_sip_offer()


def test_names_of_sockets_are_addresses_of_one_version() -> None:
    """An IPv6 socket takes no IPv4, which would come under addresses of another form (RFC 3493 §5.3)."""
    pool = PortPool(low=20_000, high=29_999, entropy=SystemEntropy(), clock=SystemClock())
    with pool.bind_single("::") as bound:
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        assert ipaddress.ip_address(bound.getsockname()[0]).version == 6


def test_authorities_are_read_once_for_all_calls() -> None:
    """That takes as long as several packets."""
    servers = IceServers((), (), SystemClock())
    assert servers.tls is servers.tls
