"""Sounds that the bridge plays itself, to a phone or to a Matrix client."""

import itertools

import pytest

from bridge.core.clock import SystemClock
from bridge.core.ids import CallId
from bridge.media import g711, tones
from bridge.media.dtmf import TelephoneEvent
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import Ear, MediaEnded, MediaEvent, MediaFailure, PhoneDigitPressed, SoundPlayed
from bridge.media.opus import OpusDecoder
from bridge.media.rtp import RtpPacket
from bridge.media.sounds import Sound, pause
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_call_changes import digits_in
from tests.media.test_calls import NewBrowser, paced
from tests.media.waiting import Collected, counted

PITCH_HZ = 600.0
NOTICE = Sound(b"".join(tone_frames(PITCH_HZ, 25)))
SPEECH = g711.ulaw_encode(tone_frames(900, 1)[0])


async def answered(engine: EmbeddedEngine, phone: Phone, formats: str = "0 101") -> EmbeddedSession:
    """A call of a phone that the bridge takes itself: there is no Matrix side."""
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp(formats))
    phone.aim(await session.create_sip_answer())
    return session


async def arrived(session: EmbeddedSession, count: int) -> None:
    """Wait until so many packets of the phone have come."""

    await counted(session, lambda stats: stats.sip.packets_received >= count)


def pitch_hz(packets: list[RtpPacket]) -> float:
    """Of PCMU."""
    return tones.dominant_pitch_hz(b"".join(g711.ulaw_decode(packet.payload) for packet in packets))


def frames_of(packets: list[RtpPacket], sound: Sound) -> list[RtpPacket]:
    """Those that carry a sound as PCMU."""
    made = {g711.ulaw_encode(sound.pcm[start : start + 320]) for start in range(0, len(sound.pcm), 320)}
    return [packet for packet in packets if packet.payload in made]


async def test_a_phone_that_the_bridge_answers_hears_a_sound_to_its_end(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await answered(engine, phone)
    number = await session.play(NOTICE, Ear.PHONE)
    assert await events.count(1) == [SoundPlayed(call_id=CALL, number=number)]
    await phone.received.until(lambda packets: len(frames_of(packets, NOTICE)) >= 25)
    heard = frames_of(phone.received.items, NOTICE)
    assert len(heard) == 25
    assert pitch_hz(heard) == pytest.approx(PITCH_HZ, abs=2)
    for name, step in (("sequence", 1), ("timestamp", 160)):
        numbers = [getattr(packet, name) for packet in heard]
        assert {(after - before) & 0xFFFF for before, after in itertools.pairwise(numbers)} == {step}
    assert [packet.marker for packet in heard] == [True] + 24 * [False]


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_a_client_hears_a_sound_in_the_place_of_the_phone_and_then_the_phone(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, codec: str
) -> None:
    browser = new_browser(codec)
    session = await call_out(engine, browser, phone)
    await events.count(1)
    number = await session.play(NOTICE, Ear.MATRIX)
    for _ in range(5):
        phone.send(SPEECH)
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    heard = (await browser.received.count(25))[:25]
    decode = g711.ulaw_decode if codec == "PCMU" else OpusDecoder().decode
    assert tones.dominant_pitch_hz(b"".join(decode(packet.payload) for packet in heard)) == pytest.approx(
        PITCH_HZ, abs=3
    )
    browser.received.clear()

    async def say(_: int) -> None:
        phone.send(SPEECH)

    await paced(20, say)
    later = await browser.received.count(10)
    assert tones.dominant_pitch_hz(b"".join(decode(packet.payload) for packet in later)) == pytest.approx(900, abs=3)
    assert {packet.ssrc for packet in heard} == {packet.ssrc for packet in later}


@pytest.mark.parametrize(
    ("listens", "flow", "ends"), [(True, "sendrecv", True), (True, "sendonly", False), (False, "sendrecv", False)]
)
async def test_a_phone_that_the_bridge_listens_to_and_that_has_vanished_is_told_of(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, listens: bool, flow: str, ends: bool
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp(flow=flow))
    phone.aim(await session.create_sip_answer())
    await session.report_phone_digits(listens)

    async def later(seconds: float) -> None:
        session._media.look_after(SystemClock().monotonic() + seconds)

    for _ in range(5):
        phone.send(SPEECH)
    await arrived(session, 5)
    await session._thread.call(later(29))
    assert events.items == []
    for _ in range(2):
        await session._thread.call(later(40))
    assert events.items == ([MediaEnded(call_id=CALL, failure=MediaFailure.RTP_TIMEOUT)] if ends else [])


async def test_a_sound_that_repeats_ends_when_it_is_stopped_and_tells_nothing(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await answered(engine, phone)
    await session.play(NOTICE, Ear.PHONE, repeats=True)
    await phone.received.until(lambda packets: len(frames_of(packets, NOTICE)) > 30)
    await session.stop_playing(Ear.PHONE)
    await session.stop_playing(Ear.PHONE)
    number = await session.play(pause(0.02), Ear.PHONE)
    assert await events.count(1) == [SoundPlayed(call_id=CALL, number=number)]


async def test_a_sound_takes_the_place_of_another_whose_end_is_not_told(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await answered(engine, phone)
    await session.play(NOTICE, Ear.PHONE)
    number = await session.play(pause(0.06), Ear.PHONE)
    assert await events.count(1) == [SoundPlayed(call_id=CALL, number=number)]
    assert len(frames_of(phone.received.items, NOTICE)) < 25


async def test_a_sound_waits_for_a_phone_that_cannot_hear_it(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await answered(engine, phone)
    await session.set_sip_offer(phone.sdp("0 101", flow="sendonly", version=2))
    await session.create_sip_answer()
    number = await session.play(NOTICE, Ear.PHONE)
    await session.play(NOTICE, Ear.MATRIX)
    other = await answered_beside(engine, phone)
    # The other call's sound, of the same length and begun later, is over first.
    beside = await other.play(NOTICE, Ear.PHONE)
    assert await events.count(1) == [SoundPlayed(call_id=CallId("beside"), number=beside)]
    await session.set_sip_offer(phone.sdp("0 101", version=3))
    await session.create_sip_answer()
    assert (await events.count(2))[1] == SoundPlayed(call_id=CALL, number=number)


async def answered_beside(engine: EmbeddedEngine, phone: Phone) -> EmbeddedSession:
    """Another call of the same phone."""
    session = await engine.open(CallId("beside"))
    await session.set_sip_offer(phone.sdp("0 101"))
    await session.create_sip_answer()
    return session


async def test_keys_are_told_while_they_are_asked_for_whatever_is_played(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session = await answered(engine, phone)
    phone.send_digit(1)
    await arrived(session, 6)
    await session.report_phone_digits(True)
    await session.play(NOTICE, Ear.PHONE, repeats=True)
    phone.send_digit(4)
    await events.count(1)
    await session.report_phone_digits(True)
    phone.timestamp -= 640
    phone.send(bytes(TelephoneEvent(event=4, end=True, volume=10, duration=640)), 101, step=640)
    phone.send_digit(4)
    phone.send_digit(11)
    assert await events.count(3) == [PhoneDigitPressed(call_id=CALL, digit=digit) for digit in "44#"]
    await session.play_digits("7", 100)
    assert (await events.count(4))[3] == PhoneDigitPressed(call_id=CALL, digit="7")
    await session.report_phone_digits(False)
    phone.send_digit(2)
    await arrived(session, 5 * 6 + 1)
    await session.play_digits("8", 100)
    await session.report_phone_digits(True)
    phone.send_digit(9)
    assert (await events.count(5))[4] == PhoneDigitPressed(call_id=CALL, digit="9")
    assert "9" not in repr(events.items[4])


@pytest.mark.parametrize("workers", [2])
async def test_keys_of_a_phone_that_talks_with_another_are_told_and_passed_on(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    session, other = await answered(engine, phone), await Phone.open()
    await session.join(await answered_beside(engine, other))
    await session.report_phone_digits(True)
    phone.send_digit(5)
    assert await events.count(1) == [PhoneDigitPressed(call_id=CALL, digit="5")]
    await other.received.until(lambda packets: len(digits_in(packets, 101)) == 6)
    await other.close()
