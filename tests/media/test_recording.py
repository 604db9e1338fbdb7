"""Recordings of calls: what is in the file, and what becomes of it when something goes wrong."""

import errno
import io
import os
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from bridge.core.clock import SystemClock
from bridge.media import g711
from bridge.media.call_sounds import CallSounds
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import Ear, MediaError, MediaEvent, RecordingEnded, SoundPlayed
from bridge.media.formats import Codec
from bridge.media.path import PacketPath
from bridge.media.recorder import MOST_AT_ONCE, Recorder, Recording, Source
from bridge.media.recording import Recorded, RecordedSides, RecordingEnd, RecordingFormat, RecordingRequest
from bridge.media.rtp import RtpPacket
from bridge.media.sounds import Sound
from bridge.media.tap import Tapped
from tests.e2e.sound import Samples, measure
from tests.media.counting import CountingTelemetry
from tests.media.phone import FRAME, FRAME_S, Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser, paced
from tests.media.test_playing import answered, answered_beside
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S

PHONE_HZ, CLIENT_HZ = 700.0, 1100.0
SIDES = {True: PHONE_HZ, False: CLIENT_HZ}


class Talk:
    """Both sides of a call as packets, by a clock of its own."""

    def __init__(self, seconds: float, codec: Codec = Codec.PCMU) -> None:
        self.wanted = False
        self._waiting: list[Tapped] = []
        for from_phone, pitch_hz in SIDES.items():
            sound = Sound(b"".join(tone_frames(pitch_hz, round(seconds / FRAME_S))) or bytes(2 * FRAME))
            for number, payload in enumerate(sound.frames(codec)):
                packet = RtpPacket(
                    payload_type=0,
                    sequence=number,
                    timestamp=number * codec.clock_rate // 50,
                    ssrc=1,
                    payload=payload,
                    marker=False,
                )
                self._waiting.append((from_phone, number * FRAME_S, codec.value, bytes(packet)))
        self._waiting.sort(key=lambda tapped: tapped[1])
        self.overflowed = False

    def tap(self, wanted: bool) -> None:
        self.wanted = wanted

    def tapped(self) -> tuple[list[Tapped], bool]:
        waiting, self._waiting = self._waiting, []
        return waiting, self.overflowed


def record(path: Path, seconds: float, talk: Talk | None = None, **wanted: Any) -> tuple[Recorded, Recording]:
    """A recording that is stopped after some time, if it has not ended by itself."""
    request = RecordingRequest(path=path, **{"sides": RecordedSides.MIXED, **wanted})
    told: list[Recorded] = []
    recording = Recording(request, talk or Talk(seconds), told.append)
    recording.begin(0.0)
    for number in range(1, round(seconds * 10) + 1):
        if recording.work(number / 10):
            break
    else:
        recording.end(RecordingEnd.STOPPED, seconds)
        assert recording.work(seconds + 0.1)
    assert told == [recording.ended.result()]
    return told[0], recording


def heard(content: bytes) -> tuple[Samples, int]:
    """The channels of a file, and its rate, by another decoder than ours."""
    with av.open(io.BytesIO(content), mode="r") as container:
        stream = container.streams.audio[0]
        planar = av.AudioResampler(format="fltp", rate=stream.rate)
        frames = [made.to_ndarray() for frame in container.decode(audio=0) for made in planar.resample(frame)]
        return np.concatenate(frames, axis=1).astype(np.float64), stream.rate


def pitches(samples: Samples, rate: int) -> list[float]:
    """What is heard in each channel, without its beginning and end."""
    return [measure(channel[rate // 4 : -rate // 4], rate).pitch_hz for channel in samples]


@pytest.mark.parametrize("file_format", RecordingFormat)
@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        (RecordedSides.PHONE, [PHONE_HZ]),
        (RecordedSides.MATRIX, [CLIENT_HZ]),
        (RecordedSides.SEPARATE, [PHONE_HZ, CLIENT_HZ]),
    ],
)
def test_each_side_is_where_it_belongs(
    tmp_path: Path, file_format: RecordingFormat, sides: RecordedSides, expected: list[float]
) -> None:
    path = tmp_path / "recording"
    recorded, _ = record(path, 2.0, sides=sides, file_format=file_format)
    samples, rate = heard(path.read_bytes())
    assert pitches(samples, rate) == pytest.approx(expected, abs=3)
    assert samples.shape[1] / rate == pytest.approx(recorded.duration_s, abs=0.01)
    assert (recorded.duration_s, recorded.end, recorded.heard) == (2.0, RecordingEnd.STOPPED, True)
    assert recorded.octets == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("codec", Codec)
def test_whatever_is_spoken_is_recorded(tmp_path: Path, codec: Codec) -> None:
    record(tmp_path / "r", 1.5, Talk(1.5, codec), sides=RecordedSides.SEPARATE)
    samples, rate = heard((tmp_path / "r").read_bytes())
    assert pitches(samples, rate) == pytest.approx([PHONE_HZ, CLIENT_HZ], abs=3)


def test_both_sides_are_heard_in_one_channel(tmp_path: Path) -> None:
    record(tmp_path / "both.wav", 2.0, file_format=RecordingFormat.WAV)
    with wave.open(str(tmp_path / "both.wav")) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2") / 32768
    spectrum = np.abs(np.fft.rfft(samples[4000:12000]))
    assert sorted(np.argsort(spectrum)[-2:].tolist()) == [PHONE_HZ, CLIENT_HZ]


def test_a_picture_of_the_sound_shows_where_it_is_loud(tmp_path: Path) -> None:
    talk = Talk(1.0)
    recorded, _ = record(tmp_path / "r", 2.0, talk, sides=RecordedSides.PHONE)
    assert len(recorded.waveform) == 100
    assert min(recorded.waveform[10:48]) == pytest.approx(1024 * 10 ** (-12 / 20), rel=0.1)
    assert max(recorded.waveform[60:]) < 20
    longer, _ = record(tmp_path / "r", 20.0, Talk(0.1))
    assert len(longer.waveform) == 100
    assert longer.heard is False


@pytest.mark.parametrize("file_format", RecordingFormat)
def test_limits_end_it_with_a_whole_file(tmp_path: Path, file_format: RecordingFormat) -> None:
    path = tmp_path / "recording"
    recorded, _ = record(path, 5.0, longest_s=1.5, file_format=file_format)
    assert (recorded.end, recorded.duration_s) == (RecordingEnd.TIME_LIMIT, 1.5)
    recorded, _ = record(path, 30.0, most_octets=20_000, file_format=file_format)
    samples, rate = heard(path.read_bytes())
    assert recorded.end is RecordingEnd.SIZE_LIMIT
    assert 10_000 < path.stat().st_size <= 20_000
    assert samples.shape[1] / rate > 0.5


@pytest.mark.parametrize("file_format", RecordingFormat)
def test_a_crash_costs_no_more_than_a_second(tmp_path: Path, file_format: RecordingFormat) -> None:
    path = tmp_path / "recording"
    request = RecordingRequest(path=path, sides=RecordedSides.PHONE, file_format=file_format)
    recording = Recording(request, Talk(3.0), lambda recorded: None)
    recording.begin(0.0)
    assert not recording.work(3.0)
    samples, rate = heard(path.read_bytes())
    assert samples.shape[1] / rate > 2.0
    assert pitches(samples, rate) == pytest.approx([PHONE_HZ], abs=3)
    recording.end(RecordingEnd.CLOSED, 3.0)
    assert recording.work(3.0)


def test_a_disk_that_is_full_is_told_at_once() -> None:
    with pytest.raises(OSError, match="No space"):
        record(Path("/dev/full"), 1.0)


def test_a_disk_that_becomes_full_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = os.write

    def nearly_full(descriptor: int, octets: Any) -> int:
        nonlocal written
        if written > 5_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        written += (count := write(descriptor, bytes(octets)[:1000]))
        return count

    monkeypatch.setattr(os, "write", nearly_full)
    recorded, _ = record(tmp_path / "r", 10.0, sides=RecordedSides.PHONE)
    monkeypatch.undo()
    samples, rate = heard((tmp_path / "r").read_bytes())
    assert recorded.end is RecordingEnd.DISK
    assert pitches(samples, rate) == pytest.approx([PHONE_HZ], abs=3)


def test_audio_that_is_missing_ends_it(tmp_path: Path) -> None:
    talk = Talk(1.0)
    talk.overflowed = True
    recorded, _ = record(tmp_path / "r", 1.0, talk)
    assert (recorded.end, talk.wanted) == (RecordingEnd.BEHIND, False)


class Faulty(Talk):
    """Something that nobody thought of."""

    def tapped(self) -> tuple[list[Tapped], bool]:
        raise RuntimeError("a fault on purpose")


def test_a_fault_in_one_recording_is_not_the_others_fault(tmp_path: Path) -> None:
    telemetry, told = CountingTelemetry(), list[Recorded]()
    recorder = Recorder(SystemClock(), telemetry)
    request = RecordingRequest(path=tmp_path / "r", sides=RecordedSides.PHONE)
    faulty = recorder.open(request, Faulty(0.1), told.append)
    sound = recorder.open(replace(request, path=tmp_path / "s"), Talk(0.1), told.append)
    for recording in (faulty, sound):
        recording.begin(SystemClock().monotonic())
    assert faulty.ended.result(PATIENCE_S).end is RecordingEnd.FAILED
    sound.end(RecordingEnd.STOPPED, SystemClock().monotonic())
    recorder.stop()
    assert [recorded.end for recorded in told] == [RecordingEnd.FAILED, RecordingEnd.STOPPED]
    assert telemetry.total("internal_errors_total", component="media") == 1


def test_no_more_calls_are_recorded_than_the_machine_has_time_for(tmp_path: Path) -> None:
    recorder = Recorder(SystemClock(), CountingTelemetry())
    request = RecordingRequest(path=tmp_path / "r", sides=RecordedSides.PHONE)
    recordings = [recorder.open(request, Talk(0.0), lambda _: None) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(MediaError, match="too many"):
        recorder.open(request, Talk(0.0), lambda _: None)
    for recording in recordings:
        recording.end(RecordingEnd.CLOSED, 0.0)
    recorder.stop()
    assert {recording.ended.result().end for recording in recordings} == {RecordingEnd.CLOSED}


class Unhurried(Recorder):
    """Works when the test says so."""

    def open(self, request: RecordingRequest, source: Source, on_end: Callable[[Recorded], object]) -> Recording:
        self.opened = Recording(request, source, on_end)
        return self.opened


def test_a_recording_does_not_begin_before_the_last_one_is_whole(tmp_path: Path) -> None:
    """They would share what is set aside, and the end of the first would be that of the second."""
    talk, recorder = Talk(0.0), Unhurried(SystemClock(), CountingTelemetry())
    sounds = CallSounds(CALL, None, recorder, tones=False, emit=lambda _: None, now=lambda: 1.0)
    sounds.attach(cast(PacketPath, talk))
    request = RecordingRequest(path=tmp_path / "r", sides=RecordedSides.PHONE)
    sounds.start_recording(request)
    assert sounds.stop_recording() is recorder.opened.ended
    with pytest.raises(MediaError, match="already"):
        sounds.start_recording(request)
    assert recorder.opened.work(1.0)
    sounds.start_recording(request)
    assert talk.wanted
    recorder.opened.give_up()


# Whole calls


async def test_a_message_is_recorded_after_the_beep(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, tmp_path: Path, telemetry: CountingTelemetry
) -> None:
    session = await answered(engine, phone)
    request = RecordingRequest(path=tmp_path / "message.ogg", sides=RecordedSides.PHONE, beep=True)
    frames = [g711.ulaw_encode(pcm) for pcm in tone_frames(PHONE_HZ, 50)]

    async def say(number: int) -> None:
        if number == 10:
            phone.send_digit(5)
        phone.send(frames[number % 50])

    await session.start_recording(request)
    with pytest.raises(MediaError):
        await session.start_recording(request)
    await paced(75, say)
    recorded = await session.stop_recording()
    assert recorded is not None
    assert events.items == [RecordingEnded(call_id=CALL, recorded=recorded)]
    assert 0.8 < recorded.duration_s < 1.4
    samples, rate = heard(request.path.read_bytes())
    assert pitches(samples, rate) == pytest.approx([PHONE_HZ], abs=3)
    pcm = b"".join(g711.ulaw_decode(packet.payload) for packet in phone.received.items)
    assert max(np.abs(np.frombuffer(pcm, dtype="<i2"))) > 3000
    assert await session.stop_recording() is None
    await telemetry.until(1, "recordings_total", end="stopped")


async def test_both_sides_of_a_call_are_recorded_until_it_is_closed(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, tmp_path: Path
) -> None:
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    await events.count(1)
    path = tmp_path / "call.wav"
    await session.start_recording(
        RecordingRequest(path=path, sides=RecordedSides.SEPARATE, file_format=RecordingFormat.WAV)
    )
    spoken = {pitch: [g711.ulaw_encode(pcm) for pcm in tone_frames(pitch, 50)] for pitch in SIDES.values()}

    async def talk(number: int) -> None:
        phone.send(spoken[PHONE_HZ][number])
        await browser.send(spoken[CLIENT_HZ][number], 0, step=160)

    await paced(50, talk)
    await session.close()
    ended = (await events.count(2))[1]
    assert isinstance(ended, RecordingEnded)
    assert ended.recorded.end is RecordingEnd.CLOSED
    samples, rate = heard(path.read_bytes())
    assert pitches(samples, rate) == pytest.approx([PHONE_HZ, CLIENT_HZ], abs=4)


@pytest.mark.parametrize("workers", [2])
async def test_the_other_phone_of_joined_calls_is_the_other_side(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, tmp_path: Path
) -> None:
    session, other = await answered(engine, phone), await Phone.open()
    second = await answered_beside(engine, other)
    await session.join(second)
    await session.start_recording(RecordingRequest(path=tmp_path / "r", sides=RecordedSides.SEPARATE))
    frames = [g711.ulaw_encode(pcm) for pcm in tone_frames(PHONE_HZ, 50)]
    other.aim(await second.create_sip_offer())

    async def talk(number: int) -> None:
        other.send(frames[number])

    await paced(50, talk)
    recorded = await session.stop_recording()
    assert recorded is not None
    samples, rate = heard(recorded.path.read_bytes())
    assert pitches(samples[1:], rate) == pytest.approx([PHONE_HZ], abs=3)
    await other.close()


async def test_a_file_that_cannot_be_made_leaves_the_call_as_it_was(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, tmp_path: Path
) -> None:
    session = await answered(engine, phone)
    with pytest.raises(MediaError, match="written"):
        await session.start_recording(RecordingRequest(path=tmp_path / "nowhere" / "r", sides=RecordedSides.PHONE))
    number = await session.play(Sound(b"".join(tone_frames(600, 2))), Ear.PHONE)
    assert await events.count(1) == [SoundPlayed(call_id=CALL, number=number)]
