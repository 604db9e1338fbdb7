"""A phone of another make (baresip) that the bridge answers itself: what it hears, presses and says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import TrunkName
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import Ear, MediaEvent, PhoneDigitPressed, RecordingEnded
from bridge.media.policy import SipMediaPolicy
from bridge.media.recording import RecordedSides, RecordingRequest
from bridge.media.settings import MediaSettings
from bridge.media.sounds import Sound
from bridge.sip.events import IncomingCall, SipEvent
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.e2e.phone import TONE, Phone
from tests.e2e.sound import Tone
from tests.media.counting import CountingTelemetry
from tests.media.phone import tone_frames
from tests.media.placing import CALL
from tests.media.test_recording import heard, pitches
from tests.media.waiting import Collected
from tests.peers.process import LOOPBACK, free_port
from tests.sip.phone import Phone as Endpoint

MUSIC = Tone(pitch_hz=500.0)


@asynccontextmanager
async def answered(
    settings: MediaSettings, events: Collected[MediaEvent], phone: Phone
) -> AsyncIterator[EmbeddedSession]:
    """The phone calls, and nobody is there but the media engine."""
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())
    await engine.start(events.add)
    try:
        async with _taken_by(engine, phone) as session:
            yield session
    finally:
        await engine.stop()


@asynccontextmanager
async def _taken_by(engine: EmbeddedEngine, phone: Phone) -> AsyncIterator[EmbeddedSession]:
    address = Trunk(
        name=TrunkName("phone"), host=LOOPBACK, port=phone.port, transport=Transport.UDP, auth=TrunkAuth.ADDRESS
    )
    async with Endpoint(address, on_event=_let_wait) as endpoint:
        await phone.call("100", through=endpoint.port)
        call = await endpoint.wait(IncomingCall)
        session = await engine.open(CALL, SipMediaPolicy())
        await session.set_sip_offer(call.sdp or "")
        endpoint.endpoint.accept(call.dialog, await session.create_sip_answer())
        await phone.wait_answered()
        yield session


def _let_wait(endpoint: Endpoint, event: SipEvent) -> None:
    """The test answers."""


async def test_a_real_phone_hears_music_presses_keys_and_is_recorded(
    settings: MediaSettings, events: Collected[MediaEvent], tmp_path: Path
) -> None:
    async with (
        Phone(tmp_path, "+15550100", port=free_port(span=2)) as phone,
        answered(settings, events, phone) as session,
    ):
        await session.report_phone_digits(True)
        await session.play(Sound(b"".join(tone_frames(MUSIC.pitch_hz, 50))), Ear.PHONE, repeats=True)
        assert (await phone.listen()).is_like(MUSIC)
        await phone.send_digits("49#")
        keys = [PhoneDigitPressed(call_id=CALL, digit=digit) for digit in "49#"]
        await events.until(lambda seen: [event for event in seen if isinstance(event, PhoneDigitPressed)] == keys)
        path = tmp_path / "message.ogg"
        await session.start_recording(RecordingRequest(path=path, sides=RecordedSides.PHONE, longest_s=1.5))
        await events.until(lambda seen: isinstance(seen[-1], RecordingEnded))
    samples, rate = heard(path.read_bytes())
    assert abs(pitches(samples, rate)[0] - TONE.pitch_hz) < 4
