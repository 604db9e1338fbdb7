"""The bridge speaks to a Matrix client that has no phone on the line, or none any more."""

import pytest

from bridge.media import g711, tones
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import Ear, MediaEvent, SoundPlayed
from bridge.media.opus import OpusDecoder
from tests.media.phone import Phone
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser
from tests.media.test_playing import NOTICE, PITCH_HZ, SPEECH
from tests.media.waiting import Collected


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_a_client_hears_a_sound_in_a_call_without_a_phone(
    engine: EmbeddedEngine, events: Collected[MediaEvent], new_browser: NewBrowser, codec: str
) -> None:
    browser, session = new_browser(codec), await engine.open(CALL)
    await session.set_matrix_offer(await browser.offer())
    answer = await session.create_matrix_answer()
    number = await session.play(NOTICE, Ear.MATRIX)
    await browser.take_answer(answer)
    await browser.connected()
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    heard = (await browser.received.count(25))[:25]
    decode = g711.ulaw_decode if codec == "PCMU" else OpusDecoder().decode
    pitch = tones.dominant_pitch_hz(b"".join(decode(packet.payload) for packet in heard))
    assert pitch == pytest.approx(PITCH_HZ, abs=3)


async def test_a_phone_that_was_dropped_hears_nothing_more_while_its_user_does(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await browser.send(SPEECH, 0, step=160)
    await phone.received.count(1)
    await session.drop_sip_leg()
    heard = len(phone.received.items)
    number = await session.play(NOTICE, Ear.MATRIX)
    for _ in range(5):
        await browser.send(SPEECH, 0, step=160)
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    assert len(await browser.received.count(25)) >= 25
    assert len(phone.received.items) == heard
