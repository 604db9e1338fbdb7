"""What a phone hears while the user's client holds it."""

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711, tones
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import Ear, MediaEvent, SoundPlayed
from bridge.media.formats import Codec
from bridge.media.hold_music import hold_tone
from bridge.media.settings import MediaSettings
from bridge.media.sounds import LONGEST_S, Sound, SoundError, pause, read_wav
from tests.e2e.sound import Tone, sine, write_wav
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import call_out
from tests.media.test_calls import NewBrowser
from tests.media.test_hold import SPEECH, negotiate
from tests.media.waiting import Collected

MUSIC_HZ = 500.0


def is_among(event: MediaEvent, seen: list[MediaEvent]) -> bool:
    """Whether something has happened."""
    return event in seen


@pytest.mark.parametrize(("formats", "payload_type"), [("0 101", 0), ("8 101", 8)])
async def test_a_held_phone_hears_the_music_and_then_the_user_again(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    formats: str,
    payload_type: int,
) -> None:
    music = Sound(b"".join(tone_frames(MUSIC_HZ, 50)))
    engine = EmbeddedEngine(
        replace(settings, hold_music=music), entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry
    )
    await engine.start(events.add)
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await session.set_sip_answer(phone.sdp(formats, version=2))
    await events.count(1)
    await negotiate(session, browser, "sendonly")
    phone.received.clear()
    await browser.send(SPEECH, 0, step=160)
    packets = (await phone.received.count(30))[-20:]
    decode = g711.ulaw_decode if payload_type == 0 else g711.alaw_decode
    pcm = b"".join(decode(packet.payload) for packet in packets)
    assert tones.dominant_pitch_hz(pcm) == pytest.approx(MUSIC_HZ, abs=2)
    assert {packet.payload_type for packet in packets} == {payload_type}
    for name, step in (("sequence", 1), ("timestamp", 160)):
        numbers = [getattr(packet, name) for packet in packets]
        assert {(after - before) & 0xFFFF for before, after in itertools.pairwise(numbers)} == {step}
    await negotiate(session, browser, "sendrecv")
    await browser.send(SPEECH, 0, step=160)
    heard = {SPEECH, g711.ulaw_to_alaw(SPEECH)}
    await phone.received.until(lambda all_heard: any(packet.payload in heard for packet in all_heard))
    assert len({packet.ssrc for packet in phone.received.items}) == 1
    await engine.stop()


async def test_a_phone_that_holds_as_well_gets_no_music(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    engine = EmbeddedEngine(
        replace(settings, hold_music=hold_tone()), entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry
    )
    await engine.start(events.add)
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    await negotiate(session, browser, "sendonly")
    await phone.received.count(5)
    await session.set_sip_offer(phone.sdp(flow="sendonly", version=2))
    await session.create_sip_answer()
    # A call beside it tells when half a second is over, and what was on its way has come.
    beside, other = await engine.open(CallId("beside")), await Phone.open()
    await beside.set_sip_offer(other.sdp())
    await beside.create_sip_answer()
    for duration_s in (0.1, 0.5):
        phone.received.clear()
        played = SoundPlayed(call_id=CallId("beside"), number=await beside.play(pause(duration_s), Ear.PHONE))
        await events.until(partial(is_among, played))
    await other.close()
    assert not phone.received.items
    await engine.stop()


def test_a_recording_repeats_without_a_gap(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "music.wav", sine(Tone(pitch_hz=MUSIC_HZ), rate_hz=8000, seconds=1), rate_hz=8000)
    frames = read_wav(wav).frames(Codec.PCMU)
    pcm = b"".join(g711.ulaw_decode(frames[number % 50]) for number in range(45, 55))
    assert tones.dominant_pitch_hz(pcm) == pytest.approx(MUSIC_HZ, abs=4)
    assert len(frames) == 50


@pytest.mark.parametrize(
    ("rate_hz", "seconds", "complaint"),
    [(16000, 1, "8000 Hz"), (8000, 0.01, "shorter"), (8000, LONGEST_S + 1, "longer")],
)
def test_a_recording_that_cannot_be_played_says_why(
    tmp_path: Path, rate_hz: int, seconds: float, complaint: str
) -> None:
    wav = write_wav(tmp_path / "music.wav", sine(Tone(pitch_hz=10), rate_hz=rate_hz, seconds=seconds), rate_hz=rate_hz)
    with pytest.raises(SoundError, match=complaint):
        read_wav(wav)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no music at all"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "music.wav").write_bytes(content)
    with pytest.raises(SoundError, match="cannot be read"):
        read_wav(tmp_path / "music.wav")
