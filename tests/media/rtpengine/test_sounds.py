"""Sounds that a real server plays, keys that it reports, and what it cannot do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.media import g711, tones
from bridge.media.engine import Ear, MediaError, MediaEvent, PhoneDigitPressed, SoundPlayed
from bridge.media.policy import SipMediaPolicy
from bridge.media.recording import RecordedSides, RecordingRequest
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.settings import MediaSettings, ServerAddress
from bridge.media.sounds import Sound
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.rtpengine.conftest import Serve
from tests.media.rtpengine.test_digits import connected
from tests.media.rtpengine.test_server_calls import hears
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected
from tests.peers.process import LOOPBACK, free_port
from tests.peers.rtpengine import Rtpengine

SHORT = Sound(b"".join(tone_frames(500, 15)))
SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


def pitch(phone: Phone) -> float:
    """Of the last half a second."""
    return tones.dominant_pitch_hz(phone.audio()[-8000:])


async def test_a_phone_alone_hears_a_sound_to_its_end(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    phone.aim(await session.create_sip_answer())
    number = await session.play(SHORT, Ear.PHONE)
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    assert pitch(phone) == pytest.approx(500, abs=10)
    await session.play(SHORT, Ear.PHONE, repeats=True)
    heard = len(phone.received.items)
    await phone.received.count(heard + 30)
    await session.stop_playing(Ear.PHONE)
    await session.stop_playing(Ear.PHONE)
    assert len(events.items) == 1


async def test_a_sound_waits_for_the_client_to_be_connected(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await engine.open(CALL)
    await session.set_matrix_offer(await browser.offer())
    number = await session.play(SHORT, Ear.MATRIX)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(2)
    assert events.items[1] == SoundPlayed(call_id=CALL, number=number)
    assert len(browser.received.items) >= 12


async def test_whoever_is_played_to_hears_the_other_side_again_afterwards(
    engine: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await session.play(SHORT, Ear.PHONE)
    await events.until(lambda seen: any(isinstance(event, SoundPlayed) for event in seen))
    await browser.send(SPEECH, 0, step=160)
    await hears(phone, SPEECH)


@pytest.fixture
async def hearing(tmp_path: Path, serve: Serve) -> AsyncIterator[RtpengineEngine]:
    """An engine that is told of keys."""
    address = ServerAddress(host=LOOPBACK, port=free_port())
    async with Rtpengine(tmp_path, name="keys", options=(f"--dtmf-log-dest={address.host}:{address.port}",)) as server:
        yield await serve(MediaSettings(rtpengines=(server.address,), rtpengine_keys=address))


async def test_keys_of_a_phone_are_told_when_they_are_asked_for(
    hearing: RtpengineEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session, payload_type = await connected(hearing, new_browser("PCMU"), phone, SipMediaPolicy())
    await events.count(1)
    phone.send(SPEECH)
    phone.send_digit(4, payload_type)
    await session.look()
    await session.report_phone_digits(True)
    phone.send(SPEECH)
    phone.send_digit(5, payload_type)
    await events.until(lambda seen: PhoneDigitPressed(call_id=CALL, digit="5") in seen)
    await session.play_digits("6", 100)
    assert events.items[-1] == PhoneDigitPressed(call_id=CALL, digit="6")


async def test_keys_of_a_phone_alone_are_told_too(
    hearing: RtpengineEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await hearing.open(CALL)
    await session.set_sip_offer(phone.sdp())
    phone.aim(await session.create_sip_answer())
    await session.report_phone_digits(True)
    phone.send(SPEECH)
    phone.send_digit(5)
    await events.count(1)
    assert events.items == [PhoneDigitPressed(call_id=CALL, digit="5")]


async def test_what_a_server_cannot_do_is_refused(engine: RtpengineEngine, phone: Phone, tmp_path: Path) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    await session.create_sip_answer()
    with pytest.raises(MediaError):
        await session.start_recording(RecordingRequest(path=tmp_path / "call.ogg", sides=RecordedSides.PHONE))
    with pytest.raises(MediaError):
        await session.report_phone_digits(True)
    with pytest.raises(MediaError):
        await session.play(Sound(bytes(16_000 * 20)), Ear.PHONE)
    assert await session.stop_recording() is None
