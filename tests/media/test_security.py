"""What strangers can send to a media port, and that it does no harm."""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from typing import Any, cast

import pytest
from aioice import Candidate, stun

from bridge.core.ids import CallId
from bridge.media import g711, sdp
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaConnected, MediaEnded, MediaError, MediaEvent, MediaFailure
from bridge.media.ice import MAX_WAITING_DATAGRAMS, IceAgent
from bridge.media.ice_socket import GuardedProtocol
from bridge.media.packet_rate import BURST
from bridge.media.portable import phone as portable_phone
from bridge.media.portable.client import Client
from bridge.media.sdp import SessionDescription
from bridge.media.settings import PathChoice
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.stranger import forged_client_hello
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S


class CountingAgent(IceAgent):
    """Counts what it drops."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        super().__init__(
            controlling=True,
            on_srtp=lambda _: None,
            on_off_path=lambda: self.dropped.update(["off_path"]),
            on_excess=lambda: self.dropped.update(["excess"]),
        )


@pytest.fixture
async def agent() -> AsyncIterator[CountingAgent]:
    agent = CountingAgent()
    yield agent
    await agent.close()


def advertised_ports(sdp: str) -> list[int]:
    """The port of every candidate in a description."""
    return [int(port) for port in re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ", sdp)]


async def connect_under_attack(engine: EmbeddedEngine, browser: Browser, phone: Phone, datagrams: int) -> None:
    """Set a call up while a stranger sends to every advertised port, before and during the connectivity checks."""
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    stranger = await Phone.open()
    ports = advertised_ports(offer)
    assert ports

    def attack() -> None:
        for port in ports:
            for _ in range(datagrams):
                stranger.transport.sendto(forged_client_hello(), ("127.0.0.1", port))

    attack()
    answer = await browser.answer(offer)
    attack()
    await session.set_matrix_answer(answer)
    attack()
    await session.create_sip_answer()
    await stranger.close()


JUNK = [b"\x00junk", b"\x03" * 40, b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\xff\xff"]


@pytest.mark.parametrize("junk", JUNK)
async def test_what_only_begins_like_stun_does_not_fill_the_queue_of_dtls(agent: CountingAgent, junk: bytes) -> None:
    protocol = GuardedProtocol(agent)
    for _ in range(100):
        protocol.datagram_received(junk, ("198.51.100.9", 4000))
    assert agent._queue.empty()
    assert agent.dropped == {"off_path": 100}


async def test_a_call_connects_under_a_flood_of_what_only_begins_like_stun(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.media.test_security.forged_client_hello", lambda: b"\x00junk")
    await connect_under_attack(engine, new_browser(), phone, 100)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert await telemetry.until(100, "media_offpath_dropped_total") >= 100


class Wire:
    """Where an agent's answers to connectivity checks go."""

    def __init__(self) -> None:
        self.sent: list[stun.Message] = []
        self.local_candidate = Candidate.from_sdp("1 1 udp 1 192.0.2.1 20000 typ host")

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        self.sent.append(message)


def check_of(agent: IceAgent, device: str) -> stun.Message:
    """A connectivity check, as the device with that fragment sends it."""
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes |= {"USERNAME": f"{agent.local_username}:{device}", "PRIORITY": 1, "ICE-CONTROLLED": 2**63}
    message.add_message_integrity(agent.local_password.encode())
    return stun.parse_message(bytes(message))


CHOSEN, LOSING = ("192.0.2.7", 5000), ("192.0.2.8", 5000)


async def test_only_the_selected_device_may_go_on_to_dtls(agent: CountingAgent) -> None:
    wire: Any = Wire()
    for device, address in (("chosen", CHOSEN), ("losing", LOSING)):
        agent.request_received(check_of(agent, device), address, wire)
        assert agent.is_validated(address)
        agent.take_dtls(b"\x16" + device.encode(), address)
    assert [answer.message_class for answer in wire.sent] == [stun.Class.RESPONSE] * 2
    assert agent._queue.empty()
    agent.select(ufrag="chosen", password="p" * 22, is_lite=False)
    assert (agent.is_validated(CHOSEN), agent.is_validated(LOSING)) == (True, False)
    assert agent._queue.get_nowait() == (b"\x16chosen", 1)
    assert agent._queue.empty()
    assert [address for _, address, _ in agent._early_checks] == [CHOSEN]
    agent.request_received(check_of(agent, "losing"), LOSING, wire)
    assert not agent.is_validated(LOSING)
    assert agent.dropped == {"off_path": 2}
    assert len(wire.sent) == 2, "nothing is said to it any more"


async def test_waiting_dtls_is_bounded_before_and_after_a_device_is_selected(agent: CountingAgent) -> None:
    agent.request_received(check_of(agent, "chosen"), CHOSEN, cast(Any, Wire()))
    for _ in range(100):
        agent.take_dtls(b"\x16", CHOSEN)
    agent.select(ufrag="chosen", password="p" * 22, is_lite=False)
    for _ in range(100):
        agent.take_dtls(b"\x16", CHOSEN)
    assert agent._queue.qsize() == MAX_WAITING_DATAGRAMS
    assert agent.dropped == {"excess": 200 - MAX_WAITING_DATAGRAMS}


@pytest.mark.parametrize("datagram", [b"", b"\x00junk", b"\x80" * 20, b"\x40" * 20])
async def test_nothing_but_dtls_is_queued(agent: CountingAgent, datagram: bytes) -> None:
    agent.data_received(datagram, 1)
    assert agent._queue.empty()
    assert agent.dropped == {"off_path": 1}


def still() -> float:
    """A clock that stands."""
    return 5.0


def test_a_phone_that_floods_is_held_to_the_rate(telemetry: CountingTelemetry) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as rtp, socket.socket(type=socket.SOCK_DGRAM) as rtcp:
        leg = portable_phone.Phone(rtp, rtcp, trusted=(), telemetry=telemetry, now=still())
        leg.direct(("192.0.2.7", 5000), 5001)
        for _ in range(500):
            leg.take_rtp(b"stranger", LOSING, still())
        rtp_heard = [leg.take_rtp(b"rtp", CHOSEN, still()) for _ in range(500)]
        rtcp_heard = [leg.take_rtcp(b"rtcp", CHOSEN, still()) for _ in range(500)]
    assert (rtp_heard.count(b"rtp"), rtcp_heard.count(b"rtcp")) == (BURST, BURST), "a stranger uses nothing up"
    assert telemetry.total("rtp_discarded_total", reason="rate") == 2 * (500 - BURST)
    assert telemetry.total("rtp_discarded_total", reason="source") == 500


def test_rtcp_comes_from_the_host_of_rtp_and_then_from_one_port_alone(telemetry: CountingTelemetry) -> None:
    trusted = (ip_network("192.0.2.0/24"),)
    with socket.socket(type=socket.SOCK_DGRAM) as rtp, socket.socket(type=socket.SOCK_DGRAM) as rtcp:
        leg = portable_phone.Phone(rtp, rtcp, trusted=trusted, telemetry=telemetry, now=0.0)
        assert leg.take_rtcp(b"octets", ("192.0.2.1", 4001), 0.0) is None
        leg.direct(("192.0.2.1", 4000), 4001)
        assert leg.take_rtcp(b"octets", ("192.0.2.9", 4001), 0.0) is None, "trusted for RTP alone"
        assert leg.take_rtcp(b"octets", ("192.0.2.1", 61000), 0.0), "a NAT chose the port"
        assert leg.take_rtcp(b"octets", ("192.0.2.1", 4001), 2.0), "the announced one wins"
        assert leg.take_rtcp(b"octets", ("192.0.2.1", 61000), 2.0) is None
        assert leg.take_rtp(b"octets", ("192.0.2.7", 5000), 2.0)
        assert leg.take_rtcp(b"octets", ("192.0.2.1", 4001), 2.0) is None, "RTP comes from another host now"
        assert leg.take_rtcp(b"octets", ("192.0.2.7", 5001), 2.0)


def test_a_browser_that_floods_is_held_to_the_rate_before_anything_is_decrypted(telemetry: CountingTelemetry) -> None:
    key = ("AES_CM_128_HMAC_SHA1_80", bytes(30))
    client = Client(key, key, telemetry=telemetry, on_off_path=lambda: None, now=0.0)
    assert {client.take(b"\x80" * 50, 0.0) for _ in range(500)} == {None}
    assert telemetry.total("rtp_discarded_total", reason="srtp") == BURST
    assert telemetry.total("rtp_discarded_total", reason="rate") == 500 - BURST


@pytest.mark.parametrize("datagrams", [1, 100])
async def test_a_forged_client_hello_from_elsewhere_does_not_break_a_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    datagrams: int,
) -> None:
    await connect_under_attack(engine, new_browser(), phone, datagrams)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert await telemetry.until(datagrams, "media_offpath_dropped_total") >= datagrams


async def test_without_the_guard_the_same_attack_does_break_it(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(IceAgent, "is_validated", lambda self, address: True)
    await connect_under_attack(engine, new_browser(), phone, 1)
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]


async def test_garbage_at_the_webrtc_port_is_survived(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    (port,) = advertised_ports(offer)
    stun = b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12)
    for junk in (b"", b"\0", b"\x01" * 30, stun + b"\x00\x06\xff\xff", stun + b"\x00\x24\x00\x01abcd", b"\x80" * 50):
        phone.transport.sendto(junk, ("127.0.0.1", port))
    await session.set_matrix_answer(await new_browser().answer(offer))
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_rtp_from_elsewhere_is_not_heard_and_gets_nothing(
    engine: EmbeddedEngine,
    telemetry: CountingTelemetry,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    path: PathChoice,
) -> None:
    browser = new_browser()
    await call_out(engine, browser, phone)
    await events.count(1)
    stranger, other_port = await Phone.open("127.0.0.2"), await Phone.open()
    stranger.target = other_port.target = phone.target
    said = g711.ulaw_encode(tone_frames(700, 1)[0])
    phone.send(said)
    await browser.received.until(lambda packets: any(p.payload == said for p in packets))
    for _ in range(20):
        stranger.send(b"\x11" * 160)
        other_port.send(b"\x22" * 160)
    phone.send(b"\x33" * 160)
    await browser.received.until(lambda packets: any(p.payload == b"\x33" * 160 for p in packets))
    assert not {b"\x11" * 160, b"\x22" * 160} & {p.payload for p in browser.received.items}
    await browser.send(said, 0, step=160)
    await phone.received.until(lambda packets: any(p.payload == said for p in packets))
    assert stranger.received.items == other_port.received.items == []
    await stranger.close()
    await other_port.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda sdp: sdp.replace("m=audio", "m=text"), "matrix_media_unacceptable"),
        (lambda sdp: sdp.replace("a=fingerprint", "a=nothing"), "matrix_media_unacceptable"),
        (lambda sdp: sdp.replace("a=setup:actpass", "a=setup:evil"), "matrix_media_unacceptable"),
        (lambda sdp: sdp + "a=x\r\n" * 20000, "matrix_media_unacceptable"),
        (lambda sdp: sdp + "a=candidate:1 1 udp 9 192.0.2.1 2000 typ host\r\n" * 1000, "matrix_media_unacceptable"),
    ],
)
async def test_an_unusable_offer_gets_a_verdict_and_harms_nothing_else(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    spoil: Callable[[str], str],
    reason: str,
) -> None:
    bad = await engine.open(CallId("bad"))
    with pytest.raises(MediaError) as refused:
        await bad.set_matrix_offer(spoil(await new_browser().offer()))
    assert (refused.value.verdict.reason, refused.value.verdict.sip_status) == (reason, 488)
    await bad.close()
    await call_out(engine, new_browser(), phone)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_hundreds_of_candidates_do_not_stop_a_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    offer = await browser.offer()
    flood = "".join(f"a=candidate:{n} 1 udp 99 192.0.2.1 {2000 + n} typ host\r\n" for n in range(400))
    await session.set_matrix_offer(offer + flood)
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert telemetry.total("ice_candidates_ignored_total", reason="too_many") == 1


async def test_encrypted_phone_audio_is_refused_with_488(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL)
    with pytest.raises(MediaError) as refused:
        await session.set_sip_offer(phone.sdp().replace("RTP/AVP", "RTP/SAVP"))
    assert (refused.value.verdict.reason, refused.value.verdict.sip_status) == ("sip_media_unacceptable", 488)
    await asyncio.wait_for(session.close(), PATIENCE_S)


async def test_descriptions_are_read_on_the_callers_thread_never_on_that_of_the_audio(
    engine: EmbeddedEngine, phone: Phone, new_browser: NewBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def watched(text: str) -> SessionDescription:
        threads.append(threading.current_thread().name)
        return parse_sdp(text)

    parse_sdp = sdp.parse_sdp
    monkeypatch.setattr(sdp, "parse_sdp", watched)
    await call_out(engine, new_browser(), phone)
    await call_in_again(engine, new_browser(), phone)
    assert len(threads) == 4
    assert set(threads) == {threading.current_thread().name}


async def call_in_again(engine: EmbeddedEngine, browser: Browser, phone: Phone) -> None:
    """The other two descriptions that come from outside."""
    session = await engine.open(CallId("call-2"))
    await session.set_sip_offer(phone.sdp())
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    await session.create_sip_answer()
