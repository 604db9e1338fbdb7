"""Two phones whose user has left them to each other."""

from dataclasses import replace

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711, webrtc
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import DigitPressed, MediaConnected, MediaEnded, MediaError, MediaEvent, MediaFailure
from bridge.media.formats import Codec
from bridge.media.policy import SipMediaPolicy
from bridge.media.settings import MediaSettings
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_call_changes import digits_in
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])
MUSIC = g711.ulaw_encode(tone_frames(500, 1)[0])
OTHER_CALL = CallId("call-2")


@pytest.fixture
def workers() -> int:
    """Each call of a pair in a process of its own."""
    return 2


async def fetched(engine: EmbeddedEngine, phone: Phone, formats: str = "0 101") -> EmbeddedSession:
    """A phone that is called for another one, without any Matrix side."""
    session = await engine.open(OTHER_CALL)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp(formats))
    return session


async def test_two_wideband_phones_hear_each_other_untouched(engine: EmbeddedEngine, phone: Phone) -> None:
    other, wideband = await Phone.open(), SipMediaPolicy(codecs=(Codec.G722,))
    sessions = []
    for number, one in enumerate((phone, other)):
        session = await engine.open(CallId(f"wideband-{number}"), wideband)
        one.aim(await session.create_sip_offer())
        await session.set_sip_answer(one.sdp("9 101"))
        sessions.append(session)
    await sessions[0].join(sessions[1])
    said = bytes(range(160))
    phone.send(said, 9)
    packets = await other.received.until(lambda packets: any(packet.payload == said for packet in packets))
    assert {packet.payload_type for packet in packets} == {9}
    assert not sessions[1].stats().transcoded
    await other.close()


async def hears(phone: Phone, payload: bytes) -> None:
    await phone.received.until(lambda packets: any(packet.payload == payload for packet in packets))


async def test_the_two_hear_each_other_and_the_user_neither(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser, other = new_browser(), await Phone.open()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    second = await fetched(engine, other)
    await session.join(second)
    browser.received.clear()
    phone.send(SPEECH)
    await hears(other, SPEECH)
    other.send(MUSIC)
    await hears(phone, MUSIC)
    phone.send_digit(5)
    await other.received.until(lambda packets: len(digits_in(packets, 101)) == 6)
    assert {event.event for _, event in digits_in(other.received.items, 101)} == {5}
    assert browser.received.items == []
    assert len({packet.ssrc for packet in phone.received.items}) == 1
    assert events.items == [MediaConnected(call_id=CALL)]
    numbers = await session.close()
    assert (numbers.sip.codec, numbers.transcoded) == ("PCMU", False)
    await other.close()


@pytest.mark.parametrize("in_rtp", [True, False])
async def test_keys_that_came_by_signalling_reach_the_other_phone_its_own_way(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, in_rtp: bool
) -> None:
    other = await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    second = await engine.open(OTHER_CALL, SipMediaPolicy(digits_in_rtp=in_rtp))
    other.aim(await second.create_sip_offer())
    await second.set_sip_answer(other.sdp("0 101"))
    await session.join(second)
    await session.play_digits("5", 100)
    if in_rtp:
        await other.received.until(lambda packets: bool(digits_in(packets, 101)))
        assert {event.event for _, event in digits_in(other.received.items, 101)} == {5}
    else:
        pressed = DigitPressed(call_id=OTHER_CALL, digit="5", duration_ms=100)
        await events.until(lambda seen: pressed in seen)
    await other.close()


async def test_each_speaks_its_own_law_of_g711(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    other = await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    await session.join(await fetched(engine, other, "8 101"))
    phone.send(SPEECH)
    await hears(other, g711.ulaw_to_alaw(SPEECH))
    other.send(MUSIC, 8)
    await hears(phone, g711.alaw_to_ulaw(MUSIC))
    await other.close()


async def test_a_phone_that_was_on_hold_is_told_to_go_on(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    """A client holds the one call while its user talks in the other."""
    browser, other = new_browser(), await Phone.open()
    session = await call_out(engine, browser, phone)
    await session.set_matrix_offer(browser.connection.localDescription.sdp.replace("a=sendrecv", "a=inactive"))
    await session.create_matrix_answer()
    assert "a=inactive" in (await session.create_sip_reoffer() or "")
    await session.set_sip_answer(phone.sdp(flow="inactive", version=2))
    second = await fetched(engine, other)
    await session.join(second)
    assert "a=sendrecv" in (await session.create_sip_reoffer() or "")
    assert await second.create_sip_reoffer() is None
    await session.set_sip_answer(phone.sdp(version=3))
    other.send(MUSIC)
    await hears(phone, MUSIC)
    await other.close()


async def test_either_may_move_and_change_its_codec(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    other, moved = await Phone.open(), await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    second = await fetched(engine, other)
    await session.join(second)
    phone.send(SPEECH)
    await hears(other, SPEECH)
    await second.set_sip_offer(moved.sdp("8 101", version=2))
    moved.aim(await second.create_sip_answer())
    phone.send(SPEECH)
    await hears(moved, g711.ulaw_to_alaw(SPEECH))
    moved.send(MUSIC, 8)
    await hears(phone, g711.alaw_to_ulaw(MUSIC))
    await other.close()
    await moved.close()


async def test_a_phone_whose_partner_is_gone_hears_silence_until_it_is_let_go(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    other = await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    second = await fetched(engine, other)
    await session.join(second)
    await second.close()
    phone.received.clear()
    phone.send(SPEECH)
    await phone.received.count(2)
    assert {packet.payload for packet in phone.received.items} == {b"\xff" * 160}
    await other.close()


async def test_a_phone_that_waits_for_the_other_is_not_left_without_a_packet(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session = await call_out(engine, new_browser("opus"), phone)
    await session.reset_matrix_leg()
    phone.received.clear()
    await phone.received.count(2)


async def test_a_phone_that_falls_silent_ends_its_call(
    settings: MediaSettings, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    impatient = replace(settings, rtp_timeout_s=0.3)
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())
    await engine.start(events.add)
    other = await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    await session.join(await fetched(engine, other))
    lost = MediaEnded(call_id=OTHER_CALL, failure=MediaFailure.RTP_TIMEOUT)
    await events.until(lambda seen: lost in seen)
    await engine.stop()
    await other.close()


async def test_a_phone_that_falls_silent_is_missed_also_when_its_user_has_closed_their_client(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webrtc, "GOODBYE_GRACE_S", 0.0)
    patient = replace(settings, rtp_timeout_s=2.0)
    engine = EmbeddedEngine(patient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())
    await engine.start(events.add)
    other, browser = await Phone.open(), new_browser()
    session = await call_out(engine, browser, phone)
    await events.until(lambda seen: MediaConnected(call_id=CALL) in seen)
    await browser.close()
    closed = MediaEnded(call_id=CALL, failure=MediaFailure.CLIENT_CLOSED)
    await events.until(lambda seen: closed in seen)
    await session.join(await fetched(engine, other))
    lost = MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)
    await events.until(lambda seen: lost in seen)
    await engine.stop()
    await other.close()


async def test_nobody_is_joined_to_a_call_that_is_over_or_taken(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    other = await Phone.open()
    session = await call_out(engine, new_browser(), phone)
    second = await fetched(engine, other)
    third = await engine.open(CallId("call-3"))
    await session.join(second)
    await session.join(second)
    with pytest.raises(MediaError):
        await third.join(session)
    with pytest.raises(MediaError):
        await third.join(third)
    await third.close()
    with pytest.raises(MediaError):
        await third.join(await engine.open(CallId("call-4")))
    await other.close()
