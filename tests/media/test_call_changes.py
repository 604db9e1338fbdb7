"""What happens in the course of a call: digits, hold, crossing calls, changed addresses, ends and limits."""

import asyncio
import re
from dataclasses import replace
from ipaddress import IPv4Network

import aioice.ice
import aioice.stun
import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import g711, webrtc
from bridge.media.dtmf import TelephoneEvent
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaConnected, MediaEnded, MediaError, MediaEvent, MediaFailure
from bridge.media.rtp import RtpPacket
from bridge.media.settings import MediaSettings
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.descriptions import WEBRTC_OFFER
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_in, call_out
from tests.media.test_calls import NewBrowser, paced
from tests.media.waiting import Collected, counted
from tests.patience import PATIENCE_S

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])
MUSIC = g711.ulaw_encode(tone_frames(500, 1)[0])


def with_events(sdp: str, *lines: tuple[int, int]) -> str:
    """Add telephone-event to a client's description (aiortc does not know it)."""
    numbers = " ".join(str(payload_type) for payload_type, _ in lines)
    end = sdp.index("\r\n", sdp.index("m=audio"))
    maps = "".join(f"a=rtpmap:{payload_type} telephone-event/{rate}\r\n" for payload_type, rate in lines)
    return sdp[:end] + " " + numbers + sdp[end:] + maps


def digits_in(packets: list[RtpPacket], payload_type: int) -> list[tuple[int, TelephoneEvent]]:
    """Timestamp and content of the event packets."""
    found = [(p.timestamp, TelephoneEvent.parse(p.payload)) for p in packets if p.payload_type == payload_type]
    return [(timestamp, event) for timestamp, event in found if event is not None]


async def connected_with_digits(engine: EmbeddedEngine, browser: Browser, phone: Phone) -> EmbeddedSession:
    session = await engine.open(CALL)
    await session.set_matrix_offer(with_events(await browser.offer(), (110, 48000), (126, 8000)))
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    answer = await session.create_matrix_answer()
    assert answer.count("telephone-event/") == 1
    await browser.take_answer(answer)
    await browser.connected()
    return session


@pytest.mark.parametrize(("codec", "payload_type", "scale"), [("opus", 110, 6), ("opus", 126, 1), ("PCMU", 126, 1)])
async def test_digits_typed_in_the_browser_reach_the_phone(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    codec: str,
    payload_type: int,
    scale: int,
) -> None:
    browser = new_browser(codec)
    session = await connected_with_digits(engine, browser, phone)
    await events.count(1)
    for digit in (4, 2):
        for n, (duration, end) in enumerate([(160, False), (320, False), (800, True), (800, True), (800, True)]):
            event = TelephoneEvent(event=digit, end=end, volume=10, duration=duration * scale)
            await browser.send(bytes(event), payload_type, step=0, marker=n == 0)
        browser.timestamp += 9600
    await phone.received.until(lambda packets: len(digits_in(packets, 101)) == 10)
    heard = digits_in(phone.received.items, 101)
    assert [event.event for _, event in heard] == [4] * 5 + [2] * 5
    assert [event.duration for _, event in heard] == [160, 320, 800, 800, 800] * 2
    assert len({timestamp for timestamp, _ in heard}) == 2
    marked = [p for p in phone.received.items if p.payload_type == 101 and p.marker]
    assert len(marked) == 2
    assert (await session.close()).digits_forwarded == 2


@pytest.mark.parametrize(("codec", "payload_type", "scale"), [("opus", 110, 6), ("PCMU", 126, 1)])
async def test_digits_pressed_on_the_phone_reach_the_browser(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    codec: str,
    payload_type: int,
    scale: int,
) -> None:
    browser = new_browser(codec)
    session = await connected_with_digits(engine, browser, phone)
    await events.count(1)
    phone.send(SPEECH)
    phone.send_digit(7)
    await browser.received.until(lambda packets: len(digits_in(packets, payload_type)) == 6)
    heard = digits_in(browser.received.items, payload_type)
    assert {event.event for _, event in heard} == {7}
    assert heard[-1][1].duration == 640 * scale
    assert (await session.close()).digits_forwarded == 1


async def test_hold_and_resume_by_the_phone(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_in(engine, browser, phone)
    await events.count(1)
    await session.set_sip_offer(phone.sdp(flow="sendonly", version=2))
    assert "a=recvonly" in await session.create_sip_answer()
    phone.received.clear()
    await browser.send(SPEECH, 0, step=160)
    phone.send(MUSIC)
    await browser.received.until(lambda packets: any(p.payload == MUSIC for p in packets))
    assert phone.received.items == []
    await session.set_sip_offer(phone.sdp(version=3))
    assert "a=sendrecv" in await session.create_sip_answer()
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(p.payload == SPEECH for p in packets))


async def test_a_reinvite_may_move_the_phone(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_in(engine, browser, phone)
    await events.count(1)
    phone.send(MUSIC)
    await browser.received.until(lambda packets: any(p.payload == MUSIC for p in packets))
    moved = await Phone.open()
    await session.set_sip_offer(moved.sdp(version=2))
    moved.aim(await session.create_sip_answer())
    await browser.send(SPEECH, 0, step=160)
    await moved.received.until(lambda packets: any(p.payload == SPEECH for p in packets))
    moved.send(SPEECH)
    await browser.received.until(lambda packets: any(p.payload == SPEECH for p in packets))
    assert len({p.ssrc for p in browser.received.items}) == 1
    await moved.close()


async def test_the_phone_is_shown_our_address_before_the_browser_is_connected(
    engine: EmbeddedEngine, phone: Phone
) -> None:
    session = await engine.open(CALL)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    await session.set_matrix_offer(WEBRTC_OFFER)
    await session.create_matrix_answer()
    packets = await phone.received.count(3)
    assert {p.payload for p in packets} == {b"\xff" * 160}
    assert phone.sources == {phone.target}


async def test_crossing_calls_keep_the_phone_and_take_the_users_own_call(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    ours = await session.create_matrix_offer()
    await session.reset_matrix_leg()
    await session.set_matrix_offer(await browser.offer())
    theirs = await session.create_matrix_answer()
    phone.aim(await session.create_sip_answer())
    assert ours.split("a=ice-ufrag:")[1].split()[0] not in theirs
    await browser.take_answer(theirs)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    phone.send(SPEECH)
    await browser.received.until(lambda packets: any(p.payload == SPEECH for p in packets))


async def test_a_phone_that_calls_without_an_offer(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    offer = await session.create_sip_offer()
    assert re.findall(r"a=rtpmap:(\d+) (\S+)", offer) == [
        ("0", "PCMU/8000"),
        ("8", "PCMA/8000"),
        ("101", "telephone-event/8000"),
    ]
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp("8 96").replace("rtpmap:101", "rtpmap:96"))
    await events.count(1)
    spoken = g711.ulaw_to_alaw(SPEECH)
    phone.send(spoken, 8)
    heard = g711.alaw_to_ulaw(spoken)
    await browser.received.until(lambda packets: any(p.payload == heard and p.payload_type == 0 for p in packets))
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(p.payload == spoken and p.payload_type == 8 for p in packets))
    assert (session.stats().matrix.codec, session.stats().sip.codec) == ("PCMU", "PCMA")


@pytest.mark.parametrize("payload_type", [96, 101])
async def test_digits_of_a_phone_that_answers_with_its_own_payload_type(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    payload_type: int,
) -> None:
    browser = new_browser("PCMU")
    session = await engine.open(CALL)
    await session.set_matrix_offer(with_events(await browser.offer(), (126, 8000)))
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp("0 96").replace("rtpmap:101", "rtpmap:96"))
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    phone.send(SPEECH)
    phone.send_digit(7, payload_type)
    await browser.received.until(lambda packets: len(digits_in(packets, 126)) == 6)
    await browser.send(bytes(TelephoneEvent(event=5, end=True, volume=10, duration=800)), 126, step=0)
    await phone.received.until(lambda packets: len(digits_in(packets, 96)) == 1)
    await counted(session, lambda stats: stats.digits_forwarded == 2)


async def test_a_reinvite_that_is_not_answered_moves_nothing(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    offer = await browser.offer()
    session = await engine.open(CALL)
    await session.set_matrix_offer(offer)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    await session.set_sip_offer(phone.sdp("8 101", flow="inactive", host="0.0.0.0", version=2))
    await session.set_matrix_offer(offer)
    await session.create_matrix_answer()
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(p.payload == SPEECH for p in packets))
    phone.send(MUSIC)
    await browser.received.until(lambda packets: any(p.payload == MUSIC for p in packets))
    await session.set_sip_answer(phone.sdp(version=3))
    with pytest.raises(MediaError):
        await session.create_sip_answer()


async def test_a_phone_on_another_address_is_heard_where_the_configuration_says_so(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    lenient = replace(settings, rtp_sources=(IPv4Network("127.0.0.0/8"),))
    engine = EmbeddedEngine(lenient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    browser, elsewhere = new_browser(), await Phone.open("127.0.0.2")
    await call_out(engine, browser, phone)
    await events.count(1)
    elsewhere.target = phone.target
    elsewhere.send(SPEECH)
    await browser.received.until(lambda packets: any(p.payload == SPEECH for p in packets))
    await browser.send(MUSIC, 0, step=160)
    await elsewhere.received.until(lambda packets: any(p.payload == MUSIC for p in packets))
    await elsewhere.close()
    await engine.stop()


async def test_hold_by_the_matrix_user(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    offer = await browser.offer()
    await session.set_matrix_offer(offer)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    first = await session.create_matrix_answer()
    await browser.take_answer(first)
    await events.count(1)
    await session.set_matrix_offer(offer.replace("a=sendrecv", "a=sendonly"))
    held = await session.create_matrix_answer()
    assert "a=recvonly" in held
    assert held.split("a=ice-ufrag:")[1].split()[0] == first.split("a=ice-ufrag:")[1].split()[0]
    await session.set_matrix_offer(offer)
    assert "a=sendrecv" in await session.create_matrix_answer()
    phone.send(SPEECH)
    await browser.received.until(lambda packets: any(p.payload == SPEECH for p in packets))


async def test_a_client_that_comes_back_with_another_certificate_gets_another_association(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    before, after = new_browser(), new_browser()
    session = await call_out(engine, before, phone)
    await events.count(1)
    await session.set_matrix_offer(await after.offer())
    await after.take_answer(await session.create_matrix_answer())
    await after.connected()
    async with asyncio.timeout(PATIENCE_S):
        while all(packet.payload != SPEECH for packet in after.received.items):
            phone.send(SPEECH)  # again, for our side of the handshake may end a little later than the client's
            await asyncio.sleep(0.02)
    assert events.items == [MediaConnected(call_id=CALL)]


@pytest.fixture
def impatient(settings: MediaSettings) -> MediaSettings:
    return replace(settings, connect_timeout_s=0.1)


async def test_ice_that_never_connects_ends_the_call(
    impatient: MediaSettings, events: Collected[MediaEvent], telemetry: CountingTelemetry, phone: Phone
) -> None:
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    session = await engine.open(CALL)
    await session.set_matrix_offer(WEBRTC_OFFER)
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await session.create_matrix_answer()
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]
    assert telemetry.total("webrtc_not_connected_total", missing="ice") == 1
    await engine.stop()


async def test_a_client_that_vanishes_ends_the_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.05)
    browser = new_browser()
    await call_out(engine, browser, phone)
    await events.count(1)
    for protocol in browser.dtls.transport._connection._protocols:
        protocol.transport.abort()
    await events.count(2)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.ICE_TIMEOUT)


async def test_a_client_that_says_goodbye_and_no_more_ends_the_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webrtc, "GOODBYE_GRACE_S", 0.0)
    browser = new_browser()
    await call_out(engine, browser, phone)
    await events.count(1)
    await browser.close()
    await events.count(2)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.CLIENT_CLOSED)


async def test_descriptions_name_the_address_that_the_outside_knows(
    settings: MediaSettings, events: Collected[MediaEvent], telemetry: CountingTelemetry, phone: Phone
) -> None:
    behind_nat = replace(settings, advertised_hosts=("198.51.100.7",))
    engine = EmbeddedEngine(behind_nat, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    session = await engine.open(CALL)
    for description in (await session.create_matrix_offer(), await session.create_sip_offer()):
        assert "198.51.100.7" in description
        assert "127.0.0.1" not in description
    await engine.stop()


async def test_an_engine_without_a_usable_address_says_so(
    settings: MediaSettings, events: Collected[MediaEvent], telemetry: CountingTelemetry
) -> None:
    nowhere = replace(settings, rtp_host="0.0.0.0")
    engine = EmbeddedEngine(nowhere, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    with pytest.raises(MediaError):
        await engine.start(events.add)
    with pytest.raises(MediaError):
        await engine.open(CALL)
    await engine.stop()


async def test_a_phone_may_be_silent_for_as_long_as_it_is_not_answered(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session = await call_out(engine, new_browser(), phone)
    await events.count(1)

    async def minutes_later(minutes: int) -> None:
        for minute in range(minutes):
            session._media.look_after(SystemClock().monotonic() + 60 * minute)

    await session.set_sip_answer(phone.sdp(version=2), early=True)
    await session._thread.call(minutes_later(3))
    assert len(events.items) == 1
    await session.set_sip_answer(None)
    await session._thread.call(minutes_later(2))
    await events.count(2)
    assert events.items[1:] == [MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)]


@pytest.mark.parametrize(("flow", "ends"), [("sendrecv", True), ("sendonly", False), ("inactive", False)])
async def test_a_silent_phone_ends_the_call_unless_it_is_on_hold(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    flow: str,
    ends: bool,
) -> None:
    session = await call_in(engine, new_browser(), phone)
    await events.count(1)
    await session.set_sip_offer(phone.sdp(flow=flow, version=2))
    await session.create_sip_answer()

    async def a_minute_later() -> None:
        session._media.look_after(SystemClock().monotonic() + 60)

    await session._thread.call(a_minute_later())
    await session._thread.call(a_minute_later())
    expected = [MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)] if ends else []
    assert events.items[1:] == expected


async def test_reports_go_out_on_both_legs(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    reports: Collected[bytes] = Collected()

    async def take(data: bytes) -> None:
        reports.add(data)

    session = await call_out(engine, browser, phone)
    browser.dtls._handle_rtcp_data = take
    await events.count(1)
    phone.send(SPEECH)

    async def later() -> None:
        session._media.look_after(SystemClock().monotonic() + 6)

    await session._thread.call(later())
    assert (await reports.count(1))[0][1] in (200, 201)


async def test_steps_out_of_order_are_refused_not_crashed(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL)
    for step in (session.create_matrix_answer, session.create_sip_answer):
        with pytest.raises(MediaError):
            await step()
    with pytest.raises(MediaError):
        await session.set_matrix_answer(WEBRTC_OFFER.replace("actpass", "active"))
    with pytest.raises(MediaError):
        await session.set_sip_answer(phone.sdp())
    with pytest.raises(MediaError):
        await engine.open(CALL)
    assert await session.close() == await session.close()


async def test_a_client_that_is_muted_is_not_taken_for_dead(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    """matrix-js-sdk has Opus send nothing in silence (`usedtx`), and no event tells of it for certain."""
    patient = replace(settings, rtp_timeout_s=0.5)
    engine = EmbeddedEngine(patient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    browser = new_browser()
    session = await call_out(engine, browser, phone)

    async def speak(number: int) -> None:
        phone.send(SPEECH)

    await paced(50, speak)
    assert session.stats().matrix.packets_received == 0
    assert events.items == [MediaConnected(call_id=CALL)]
    assert phone.received.items, "nor should the phone take us for dead"
    await engine.stop()
