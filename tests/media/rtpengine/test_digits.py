"""Keys through a real server: as events either way, and by signalling where a trunk wants that."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bridge.core.ids import CallId
from bridge.media import g711, sdp
from bridge.media.coders import silence
from bridge.media.dtmf import TelephoneEvent
from bridge.media.engine import DigitPressed, MediaConnected, MediaEvent
from bridge.media.policy import SipMediaPolicy
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.rtpengine.session import RtpengineSession
from bridge.media.settings import MediaSettings, PathChoice, ServerAddress
from tests.media.browser import Browser
from tests.media.phone import FRAME, Phone, tone_frames
from tests.media.placing import CALL
from tests.media.test_call_changes import digits_in, with_events
from tests.media.test_calls import NewBrowser, paced
from tests.media.waiting import Collected
from tests.peers.process import LOOPBACK, free_port
from tests.peers.rtpengine import Rtpengine

BY_SIGNALLING = SipMediaPolicy(digits_in_rtp=False)
SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


@pytest.fixture
def keys() -> ServerAddress:
    """Where the server reports keys."""
    return ServerAddress(host=LOOPBACK, port=free_port())


@pytest.fixture
async def server(tmp_path: Path, keys: ServerAddress) -> AsyncIterator[Rtpengine]:
    async with Rtpengine(tmp_path, options=(f"--dtmf-log-dest={keys.host}:{keys.port}",)) as server:
        yield server


@pytest.fixture
def settings(server: Rtpengine, keys: ServerAddress) -> MediaSettings:
    return MediaSettings(engine=PathChoice.RTPENGINE, rtpengines=(server.address,), rtpengine_keys=keys)


async def connected(
    engine: RtpengineEngine, browser: Browser, phone: Phone, policy: SipMediaPolicy
) -> tuple[RtpengineSession, int]:
    """Matrix calls; the session, and the payload type that the phone has for events."""
    session = await engine.open(CALL, policy)
    await session.set_matrix_offer(with_events(await browser.offer(), (110, 48000), (126, 8000)))
    offer = await session.create_sip_offer()
    events = [line.split(":")[1].split()[0] for line in offer.splitlines() if "telephone-event" in line]
    payload_type = int(events[0]) if events else 101
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp(f"0 {payload_type}").replace("rtpmap:101", f"rtpmap:{payload_type}"))
    await browser.take_answer(await session.create_matrix_answer())
    await browser.connected()
    return session, payload_type


@pytest.mark.parametrize(("codec", "payload_type", "scale"), [("opus", 110, 6), ("PCMU", 126, 1)])
async def test_events_go_either_way_at_the_clock_of_each_side(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: Callable[..., Browser],
    codec: str,
    payload_type: int,
    scale: int,
) -> None:
    browser = new_browser(codec)
    _, phones = await connected(engine, browser, phone, SipMediaPolicy())
    await events.count(1)
    await press(browser, 4, payload_type, scale)
    await phone.received.until(lambda packets: any(e.end for _, e in digits_in(packets, phones)))
    heard = digits_in(phone.received.items, phones)
    assert {event.event for _, event in heard} == {4}
    assert {event.duration for _, event in heard if event.end} == {800}
    phone.send(SPEECH)
    phone.send_digit(7, phones)
    await browser.received.until(lambda packets: any(e.end for _, e in digits_in(packets, payload_type)))
    heard = digits_in(browser.received.items, payload_type)
    assert {event.event for _, event in heard} == {7}
    assert {event.duration for _, event in heard if event.end} == {640 * scale}
    assert events.items == [MediaConnected(call_id=CALL)]


async def press(browser: Browser, event: int, payload_type: int, scale: int) -> None:
    """One key of the client, 100 ms long."""
    await browser.send(bytes(FRAME), 0, step=FRAME)
    await press_alone(browser, event, payload_type, scale)


async def press_alone(browser: Browser, event: int, payload_type: int, scale: int) -> None:
    """Without any audio before it."""
    for number, (duration, end) in enumerate([(160, False), (320, False), (800, True), (800, True), (800, True)]):
        packet = TelephoneEvent(event=event, end=end, volume=10, duration=duration * scale)
        await browser.send(bytes(packet), payload_type, step=0, marker=number == 0)
    browser.timestamp += 9600


@pytest.mark.parametrize(("codec", "payload_type", "scale"), [("opus", 110, 6), ("PCMU", 126, 1)])
async def test_keys_by_signalling_leave_the_audio_and_enter_it(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    codec: str,
    payload_type: int,
    scale: int,
) -> None:
    browser = new_browser(codec)
    session, _ = await connected(engine, browser, phone, BY_SIGNALLING)
    await events.count(1)
    await press(browser, 11, payload_type, scale)
    await events.count(2)
    assert events.items[1:] == [DigitPressed(call_id=CALL, digit="#", duration_ms=100)]
    phone.send(SPEECH)

    async def speak(number: int) -> None:
        phone.send(SPEECH)

    await session.play_digits("4x2", 100)
    await paced(40, speak)
    await browser.received.until(lambda p: len({e.event for _, e in digits_in(p, payload_type) if e.end}) == 2)
    heard = digits_in(browser.received.items, payload_type)
    assert list(dict.fromkeys(event.event for _, event in heard)) == [4, 2]
    assert digits_in(phone.received.items, 101) == []


async def test_a_report_of_no_call_of_ours_is_nobodys_key(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session, _ = await connected(engine, new_browser("PCMU"), phone, BY_SIGNALLING)
    await events.count(1)
    listener = engine._keys
    for report in (
        b"",
        b"[]",
        b"\xff",
        b'{"callid": "other", "source_tag": "m1", "event": 1, "duration": 100}',
        b'{"callid": "%b", "source_tag": "p2", "event": 1, "duration": 100}' % session.key.encode(),
        b'{"callid": "%b", "source_tag": "m1", "event": 99, "duration": 100}' % session.key.encode(),
    ):
        listener.datagram_received(report, (LOOPBACK, 1))
    assert events.items == [MediaConnected(call_id=CallId("call-1"))]


@pytest.mark.parametrize(("codec", "rate"), [("opus", 48000), ("PCMU", 8000)])
async def test_a_called_client_is_offered_the_events_that_the_server_knows(
    engine: RtpengineEngine, phone: Phone, new_browser: NewBrowser, codec: str, rate: int
) -> None:
    browser, session = new_browser(codec), await engine.open(CALL)
    await session.set_sip_offer(phone.sdp("0 96").replace("rtpmap:101", "rtpmap:96"))
    offer = await session.create_matrix_offer()
    audio, digits = sdp.audio_formats(sdp.parse_sdp(offer).media[0])
    spoken = next(entry for entry in audio if entry.codec == codec.upper())
    events = next(entry.payload_type for entry in digits if entry.clock_rate == rate)
    await session.set_matrix_answer(with_events(await browser.answer(offer), (events, rate)))
    phone.aim(await session.create_sip_answer())
    await browser.connected()
    await browser.send(silence(spoken.codec), spoken.payload_type, step=rate // 50)
    await press_alone(browser, 4, events, rate // 8000)
    await phone.received.until(lambda packets: any(e.end for _, e in digits_in(packets, 96)))
    assert {event.event for _, event in digits_in(phone.received.items, 96)} == {4}
    phone.send(SPEECH)
    phone.send_digit(7, 96)
    await browser.received.until(lambda packets: any(e.end for _, e in digits_in(packets, events)))
    assert {event.event for _, event in digits_in(browser.received.items, events)} == {7}
