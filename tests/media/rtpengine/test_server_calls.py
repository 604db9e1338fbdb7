"""What a real server makes of calls where it differs from our own engines, or has commands of its own for it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from bridge.core.ids import CallId
from bridge.media import g711, tones
from bridge.media.engine import Ear, MediaConnected, MediaEnded, MediaError, MediaEvent, MediaFailure, SoundPlayed
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.rtpengine import pulse
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.rtpengine.session import RtpengineSession
from bridge.media.settings import MediaSettings
from bridge.media.sounds import Sound
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_in, call_out
from tests.media.restarting import Restart
from tests.media.rtpengine.conftest import Serve
from tests.media.secure_phone import SecurePhone
from tests.media.test_call_changes import digits_in
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected
from tests.media.webrtc_stacks import libwebrtc
from tests.peers.process import LOOPBACK

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])
MUSIC = g711.ulaw_encode(tone_frames(500, 1)[0])
OTHER_CALL = CallId("call-2")


@pytest.fixture
async def other() -> AsyncIterator[Phone]:
    """Another phone, whose packets nobody can take for those of the first."""
    phone = await Phone.open()
    phone.ssrc, phone.sequence = 0x62626262, 9000
    yield phone
    await phone.close()


PLACES = pytest.mark.parametrize("place", [call_out, call_in])
Place = Callable[[RtpengineEngine, Browser, Phone], Awaitable[RtpengineSession]]


async def hears(listener: Phone | Browser | Restart, payload: bytes) -> None:
    await listener.received.until(lambda packets: any(packet.payload == payload for packet in packets))


@PLACES
async def test_a_reinvite_may_move_the_phone(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    other: Phone,
    new_browser: NewBrowser,
    place: Place,
) -> None:
    browser = new_browser("PCMU")
    session = await place(engine, browser, phone)
    await events.count(1)
    phone.send(MUSIC)
    await hears(browser, MUSIC)
    await session.set_sip_offer(other.sdp(version=2))
    other.aim(await session.create_sip_answer())
    assert other.target == phone.target
    await browser.send(SPEECH, 0, step=160)
    await hears(other, SPEECH)
    other.send(SPEECH)
    await hears(browser, SPEECH)


async def test_a_phone_that_calls_without_an_offer_is_offered_what_the_client_took(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await engine.open(CALL)
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp("8"))
    await events.count(1)
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, g711.ulaw_to_alaw(SPEECH))
    assert (session.stats().matrix.codec, session.stats().sip.codec) == ("PCMU", "PCMA")


async def test_another_phone_takes_over_and_the_first_is_heard_until_then(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, other: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    other.aim(await session.create_sip_offer(to_another=True))
    assert other.target != phone.target
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)
    phone.send(MUSIC)
    await hears(browser, MUSIC)
    await session.set_sip_answer(other.sdp(), from_another=True)
    phone.received.clear()
    await browser.send(MUSIC, 0, step=160)
    await hears(other, MUSIC)
    other.send(SPEECH)
    await hears(browser, SPEECH)
    assert phone.received.items == []


async def test_a_phone_that_does_not_take_over_leaves_the_call_as_it_was(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await call_in(engine, browser, phone)
    await events.count(1)
    await session.create_sip_offer(to_another=True)
    assert await session.create_sip_reoffer() is None
    phone.send(MUSIC)
    await hears(browser, MUSIC)
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)


async def test_two_joined_phones_hear_each_other_and_the_user_neither(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, other: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await call_in(engine, browser, phone)
    await events.count(1)
    second = await engine.open(OTHER_CALL)
    other.aim(await second.create_sip_offer())
    await second.set_sip_answer(other.sdp("0 101"))
    await session.join(second)
    browser.received.clear()
    phone.send(SPEECH)
    await hears(other, SPEECH)
    other.send(MUSIC)
    await hears(phone, MUSIC)
    phone.send_digit(5)
    await other.received.until(lambda packets: any(event.end for _, event in digits_in(packets, 101)))
    assert {event.event for _, event in digits_in(other.received.items, 101)} == {5}
    assert browser.received.items == []
    await second.close()
    phone.received.clear()
    phone.send(SPEECH)
    assert (await session.close()).sip.packets_received > 2


async def test_a_held_phone_hears_the_music_and_then_the_user_again(
    serve: Serve, settings: MediaSettings, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    engine = await serve(replace(settings, hold_music=Sound(b"".join(tone_frames(500, 50)))))
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    offer = browser.connection.localDescription.sdp
    await session.set_matrix_offer(offer.replace("a=sendrecv", "a=sendonly"))
    await session.create_matrix_answer()
    packets = (await phone.received.count(60))[-50:]
    pcm = b"".join(g711.ulaw_decode(packet.payload) for packet in packets)
    assert tones.dominant_pitch_hz(pcm) == pytest.approx(500, abs=5)
    number = await session.play(Sound(b"".join(tone_frames(800, 15))), Ear.PHONE)
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    phone.received.clear()
    packets = (await phone.received.count(60))[-40:]
    pcm = b"".join(g711.ulaw_decode(packet.payload) for packet in packets)
    assert tones.dominant_pitch_hz(pcm) == pytest.approx(500, abs=5), "the music goes on after a sound"
    await session.set_matrix_offer(offer)
    await session.create_matrix_answer()
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)


@PLACES
async def test_a_client_that_changes_networks_is_heard_on_the_new_one(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, place: Place
) -> None:
    browser = new_browser("PCMU")
    session = await place(engine, browser, phone)
    await events.count(1)
    before = browser.connection.remoteDescription.sdp
    restart = Restart(browser)
    await session.set_matrix_offer(await restart.offer())
    answer = await session.create_matrix_answer()
    ufrags = [re.findall(r"a=ice-ufrag:(\S+)", sdp) for sdp in (before, answer)]
    assert [len(found) for found in ufrags] == [1, 1]
    assert ufrags[0] != ufrags[1]
    await restart.take_answer(answer)
    await restart.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)
    phone.send(MUSIC)
    await hears(restart, MUSIC)
    assert events.items == [MediaConnected(call_id=CALL)]
    await restart.close()


@pytest.mark.parametrize("calls", [True, False])
async def test_libwebrtc_connects_and_is_heard(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, calls: bool
) -> None:
    browser = await libwebrtc("ECDSA")
    session = await engine.open(CALL)
    if calls:
        await session.set_matrix_offer(await browser.offer())
        phone.aim(await session.create_sip_offer())
        await session.set_sip_answer(phone.sdp())
        await browser.take_answer(await session.create_matrix_answer())
    else:
        await session.set_sip_offer(phone.sdp())
        await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
        phone.aim(await session.create_sip_answer())
    await browser.connected()
    await events.count(1)
    for _ in range(10):
        await browser.speak()
    await phone.received.count(1)
    await browser.close()


@pytest.mark.parametrize(("use", "protocol"), [(SrtpUse.REQUIRED, "RTP/SAVP"), (SrtpUse.OPTIONAL, "RTP/AVP")])
async def test_a_trunk_with_keys_is_offered_one_and_heard_encrypted(
    engine: RtpengineEngine, events: Collected[MediaEvent], new_browser: NewBrowser, use: SrtpUse, protocol: str
) -> None:
    phone, browser = await SecurePhone.open(), new_browser("PCMU")
    assert isinstance(phone, SecurePhone)
    session = await engine.open(CALL, SipMediaPolicy(srtp=use))
    await session.set_matrix_offer(await browser.offer())
    offer = await session.create_sip_offer()
    assert f" {protocol} " in offer
    phone.learn(offer)
    await session.set_sip_answer(phone.secure_sdp(protocol=protocol))
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    phone.say(SPEECH)
    await hears(browser, SPEECH)
    await browser.send(MUSIC, 0, step=160)
    await hears(phone, MUSIC)
    await session.set_sip_offer(phone.secure_sdp(protocol=protocol, version=2))
    phone.learn(await session.create_sip_answer())
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)
    assert phone.undecipherable == 0
    await phone.close()


async def test_a_phone_that_calls_encrypted_is_answered_with_its_tag(
    engine: RtpengineEngine, events: Collected[MediaEvent], new_browser: NewBrowser
) -> None:
    phone, browser = await SecurePhone.open(), new_browser("PCMU")
    assert isinstance(phone, SecurePhone)
    session = await engine.open(CALL, SipMediaPolicy(srtp=SrtpUse.REQUIRED))
    await session.set_sip_offer(phone.secure_sdp(tag=7))
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    answer = await session.create_sip_answer()
    assert "a=crypto:7 " in answer
    phone.learn(answer)
    await events.count(1)
    phone.say(SPEECH)
    await hears(browser, SPEECH)
    await browser.send(MUSIC, 0, step=160)
    await hears(phone, MUSIC)
    await phone.close()


async def test_encryption_that_is_demanded_and_not_answered_ends_the_call(
    engine: RtpengineEngine, phone: Phone, new_browser: NewBrowser
) -> None:
    session = await engine.open(CALL, SipMediaPolicy(srtp=SrtpUse.REQUIRED))
    await session.set_matrix_offer(await new_browser("PCMU").offer())
    await session.create_sip_offer()
    with pytest.raises(MediaError) as refused:
        await session.set_sip_answer(phone.sdp())
    assert refused.value.verdict.reason == "media_not_encrypted"


async def test_a_phone_that_answers_in_the_clear_where_it_may_is_heard(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    await call_out(engine, browser, phone, SipMediaPolicy(srtp=SrtpUse.OPTIONAL))
    await events.count(1)
    phone.send(SPEECH)
    await hears(browser, SPEECH)
    await browser.send(MUSIC, 0, step=160)
    await hears(phone, MUSIC)


async def test_a_phone_that_falls_silent_ends_the_call_unless_it_is_held(
    serve: Serve,
    settings: MediaSettings,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "_CONNECTED_EVERY_S", 0.1)
    engine = await serve(replace(settings, rtp_timeout_s=1.5))
    session = await call_in(engine, new_browser("PCMU"), phone)
    await events.count(1)
    await session.set_sip_offer(phone.sdp(flow="sendonly", version=2))
    await session.create_sip_answer()
    for _ in range(5):
        await session.look()
    assert len(events.items) == 1
    await session.set_sip_offer(phone.sdp(version=3))
    await session.create_sip_answer()
    await events.count(2)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)


async def test_a_client_that_is_not_heard_any_more_ends_the_call(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "_CONNECTED_EVERY_S", 0.1)
    monkeypatch.setattr(pulse, "_CLIENT_SILENT_S", 0.3)
    browser = new_browser("PCMU")
    await call_out(engine, browser, phone)
    await events.count(1)
    await browser.close()
    await events.count(2)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.ICE_TIMEOUT)


async def test_a_client_that_never_connects_ends_the_call(
    serve: Serve,
    settings: MediaSettings,
    telemetry: CountingTelemetry,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    engine = await serve(replace(settings, connect_timeout_s=0.2))
    session = await engine.open(CALL)
    await session.set_matrix_offer(await new_browser("PCMU").offer())
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await session.create_matrix_answer()
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]
    assert telemetry.total("webrtc_not_connected_total", missing="ice") == 1


async def test_a_stranger_is_neither_heard_nor_sent_anything(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser, stranger = new_browser("PCMU"), await Phone.open("127.0.0.2")
    await call_in(engine, browser, phone)
    await events.count(1)
    phone.send(MUSIC)
    await hears(browser, MUSIC)
    stranger.target, stranger.ssrc, stranger.sequence = phone.target, phone.ssrc, phone.sequence + 5
    stranger.send(SPEECH)
    stranger.target, stranger.sequence = (LOOPBACK, local_port(browser)), 1
    stranger.send(SPEECH)
    for _ in range(5):
        phone.send(MUSIC)
        await browser.send(MUSIC, 0, step=160)
    await phone.received.count(5)
    await browser.received.count(6)
    assert all(packet.payload == MUSIC for packet in (*browser.received.items, *phone.received.items))
    assert stranger.received.items == []
    await stranger.close()


def local_port(browser: Browser) -> int:
    """Where the server listens for this client."""
    return int(re.findall(r"m=audio (\d+)", browser.connection.remoteDescription.sdp)[0])
