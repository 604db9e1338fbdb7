"""Attacks on whole calls through real sockets, on either packet path: the call goes on, the stranger gets nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711, ice_socket
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaConnected, MediaEnded, MediaEvent, MediaFailure
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.settings import MediaSettings
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.secure_phone import SecurePhone
from tests.media.stranger import VOICE, Stranger, everything, forged_client_hello, rtp, stun_request
from tests.media.test_calls import NewBrowser
from tests.media.test_security import advertised_ports
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S

CALLS, AT_ONCE = 100, 10
SPEECH, CLIENT_SPEECH = (g711.ulaw_encode(tone_frames(pitch, 1)[0]) for pitch in (700, 900))
MOST_MISDIRECTED = 10
"""Packets of 20 ms: what is followed at all is followed within 200 ms."""


@pytest.fixture
async def strangers() -> AsyncIterator[list[Stranger]]:
    """On other hosts than the phone's, and on the phone's own."""
    with ExitStack() as closing:
        yield [closing.enter_context(Stranger(host)) for host in ("127.0.0.2", "127.0.0.3", "127.0.0.1")]


async def connect_under_attack(engine: EmbeddedEngine, call: CallId, phone: Phone, browser: Browser) -> None:
    """A stranger sends one ClientHello to each advertised port, whenever something is sent to the other side."""
    session = await engine.open(call)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    with Stranger("127.0.0.1") as stranger:

        def attack() -> None:
            for port in advertised_ports(offer):
                stranger.send(forged_client_hello(), port)

        attack()
        answer = await browser.answer(offer)
        attack()
        await session.set_matrix_answer(answer)
        attack()
        await session.create_sip_answer()
        await browser.connected()
        assert stranger.received == []


async def test_a_hundred_calls_connect_while_each_is_sent_a_forged_client_hello(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    calls = [CallId(f"call-{number}") for number in range(CALLS)]
    with capture_logs() as lines:
        for first in range(0, CALLS, AT_ONCE):
            batch = calls[first : first + AT_ONCE]
            await asyncio.gather(*(connect_under_attack(engine, call, phone, new_browser()) for call in batch))
        await events.count(CALLS)
    assert {event.call_id for event in events.items if isinstance(event, MediaConnected)} == set(calls)
    assert len(events.items) == CALLS
    assert await telemetry.until(3 * CALLS, "media_offpath_dropped_total") == 3 * CALLS
    assert lines == [], "a flood is counted, not told"


async def until_heard(phone: Phone, browser: Browser) -> None:
    """Both speak until both have heard the other."""
    async with asyncio.timeout(PATIENCE_S):
        while not (hears(browser, SPEECH) and hears(phone, CLIENT_SPEECH)):
            phone.send(SPEECH)
            await browser.send(CLIENT_SPEECH, 0, step=160)
            await asyncio.sleep(0.005)


def hears(listener: Phone | Browser, speech: bytes) -> bool:
    return any(packet.payload == speech for packet in listener.received.items)


async def test_whoever_sends_to_all_ports_of_a_call_hears_nothing_and_is_not_heard(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    strangers: list[Stranger],
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    *elsewhere, beside = strangers

    def attack(attackers: list[Stranger], ports: list[int]) -> None:
        for number in range(50):
            for stranger in attackers:
                for port in ports:
                    for datagram in everything(number):
                        stranger.send(datagram, port)

    attack(strangers, advertised_ports(offer))
    browser = new_browser("PCMU")
    await session.set_matrix_answer(await browser.answer(offer))
    phone.aim(await session.create_sip_answer())
    ports = [*advertised_ports(offer), phone.target[1], phone.target[1] + 1]
    await browser.connected()
    attack(elsewhere, ports)
    await until_heard(phone, browser)
    for _ in range(3):
        attack([*elsewhere, beside], ports)
        browser.received.clear()
        phone.received.clear()
        await until_heard(phone, browser)
        assert not hears(browser, VOICE)
        assert not hears(phone, VOICE)
    assert [stranger.received for stranger in strangers] == [[], [], []]
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_check_without_our_password_gets_no_answer(
    engine: EmbeddedEngine, telemetry: CountingTelemetry, strangers: list[Stranger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source may be forged, and an answer is longer than what asks for it."""
    parsed: list[bytes] = []
    parse = ice_socket._parsed

    def watched(datagram: bytes) -> object:
        parsed.append(datagram)
        return parse(datagram)

    monkeypatch.setattr(ice_socket, "_parsed", watched)
    session = await engine.open(CALL)
    offer = await session.create_matrix_offer()
    ufrag = next(line for line in offer.splitlines() if line.startswith("a=ice-ufrag:")).partition(":")[2]
    (port,) = advertised_ports(offer)
    for datagram in (stun_request(), stun_request("who:ever"), stun_request(f"{ufrag}:who")):
        strangers[0].send(datagram, port)
    await telemetry.until(3, "media_offpath_dropped_total")
    assert parsed == [stun_request(f"{ufrag}:who")], "a flood of others costs next to nothing"
    await asyncio.wait_for(session.close(), PATIENCE_S)
    assert strangers[0].received == []


async def test_plain_rtp_follows_nobody_until_a_new_description_says_so(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    """Whoever could make it follow could take a call over."""
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    await until_heard(phone, browser)
    moved = await Phone.open()
    moved.target = phone.target
    browser.received.clear()
    for number in range(20):
        moved.transport.sendto(rtp(number), moved.target)
    phone.received.clear()
    await until_heard(phone, browser)
    assert not hears(browser, VOICE)
    assert not moved.received.items
    await session.set_sip_offer(moved.sdp(version=2))
    await session.create_sip_answer()
    browser.received.clear()
    await until_heard(moved, browser)
    await moved.close()


async def test_encrypted_rtp_follows_a_phone_that_moves_within_200_ms(
    engine: EmbeddedEngine, events: Collected[MediaEvent], new_browser: NewBrowser, strangers: list[Stranger]
) -> None:
    browser, phone = new_browser("PCMU"), await SecurePhone.open()
    assert isinstance(phone, SecurePhone)
    session = await engine.open(CALL, SipMediaPolicy(srtp=SrtpUse.REQUIRED))
    await session.set_matrix_offer(await browser.offer())
    phone.learn(await session.create_sip_offer())
    await session.set_sip_answer(phone.secure_sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    await browser.connected()
    await say_until_heard(phone, browser, phone)
    moved = await phone.moved()
    for number in range(20):
        strangers[2].send(rtp(number), phone.target[1])
        strangers[2].send(phone.sent[-1], phone.target[1])
    before = len(phone.received.items)
    moved.say(SPEECH)
    await say_until_heard(moved, browser, moved)
    assert len(phone.received.items) - before <= MOST_MISDIRECTED
    assert strangers[2].received == [], "neither without the key nor with a packet of before"
    await phone.close()
    await moved.close()


async def say_until_heard(phone: SecurePhone, browser: Browser, listener: SecurePhone) -> None:
    """The client speaks 50 times a second, until the phone hears it where it is now."""
    listener.received.clear()
    async with asyncio.timeout(PATIENCE_S):
        while not hears(listener, CLIENT_SPEECH):
            phone.say(SPEECH)
            await browser.send(CLIENT_SPEECH, 0, step=160)
            await asyncio.sleep(0.020)


@pytest.mark.parametrize("begins", [False, True], ids=["never spoke", "fell silent"])
async def test_a_call_whose_phone_is_mute_ends_after_the_time_that_is_set(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    begins: bool,
) -> None:
    """The client speaks on: one way is not enough."""
    engine = EmbeddedEngine(
        replace(settings, rtp_timeout_s=0.6), entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry
    )
    await engine.start(events.add)
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    if begins:
        await until_heard(phone, browser)
    speaking = asyncio.create_task(speak_on(browser))
    await events.count(2)
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)
    assert silent_for(session, begins)
    await engine.stop()


async def speak_on(browser: Browser) -> None:
    while True:
        await browser.send(CLIENT_SPEECH, 0, step=160)
        await asyncio.sleep(0.020)


def silent_for(session: EmbeddedSession, begins: bool) -> bool:
    """Whether the phone was heard exactly when it spoke."""
    return (session.stats().sip.packets_received > 0) is begins
