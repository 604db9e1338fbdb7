"""The demo's tones and ears: what is printed about a call must be true."""

import itertools
import math
from array import array

import pytest

from deploy.demo.audio import FRAME_SAMPLES, Ear, Heard, Tone, to_telephone
from deploy.demo.phone_audio import Programme

TONE = Tone(pitch_hz=440.0, level_dbfs=-20.0)


def listen(tone: Tone, frames: int = 30) -> Ear:
    """An ear that has heard a tone for `frames` times 20 ms."""
    ear = Ear()
    for index in range(frames):
        ear.hear(tone.frame(index))
    return ear


@pytest.mark.parametrize(("pitch_hz", "level_dbfs"), [(440.0, -20.0), (600.0, -23.0), (997.3, -3.0), (3000.0, -40.0)])
def test_an_ear_measures_the_pitch_and_level_that_were_sent(pitch_hz: float, level_dbfs: float) -> None:
    tone = Tone(pitch_hz=pitch_hz, level_dbfs=level_dbfs)

    heard = listen(tone).measure()

    assert heard is not None
    assert heard.pitch_hz == pytest.approx(pitch_hz, abs=0.5)
    assert heard.level_dbfs == pytest.approx(level_dbfs, abs=0.1)
    assert tone.matches(heard)


def test_an_ear_says_nothing_before_it_has_heard_half_a_second() -> None:
    assert listen(TONE, frames=25).measure() is None


def test_an_ear_forgets_what_is_older_than_its_window() -> None:
    ear = listen(Tone(pitch_hz=1000.0, level_dbfs=-10.0))

    for index in range(30):
        ear.hear(TONE.frame(index))

    assert TONE.matches(ear.measure())


@pytest.mark.parametrize(
    ("heard", "matches"),
    [
        (Heard(pitch_hz=440.0, level_dbfs=-20.0), True),
        (Heard(pitch_hz=447.0, level_dbfs=-25.5), True),
        (Heard(pitch_hz=460.0, level_dbfs=-20.0), False),
        (Heard(pitch_hz=440.0, level_dbfs=-27.0), False),
        (Heard(pitch_hz=0.0, level_dbfs=-120.0), False),
        (None, False),
    ],
)
def test_a_tone_matches_only_what_could_be_itself(heard: Heard | None, matches: bool) -> None:
    assert TONE.matches(heard) is matches


def test_frames_of_a_tone_follow_each_other_without_a_click() -> None:
    samples = array("h", b"".join(TONE.frame(index) for index in range(4)))

    largest_step = max(abs(after - before) for before, after in itertools.pairwise(samples))

    peak = 32767 * 10 ** (TONE.level_dbfs / 20)
    assert largest_step <= peak * 2 * math.pi * TONE.pitch_hz / 8000 + 1


def test_stereo_at_48_khz_becomes_telephone_audio_of_the_same_pitch_and_level() -> None:
    amplitude = 32767 * 10 ** (-20 / 20)
    ear = Ear()
    for first in range(0, 48000, 960):
        left = [round(amplitude * math.sin(2 * math.pi * 440 * n / 48000)) for n in range(first, first + 960)]
        interleaved = array("h", (sample for value in left for sample in (value, 0)))
        ear.hear(to_telephone(interleaved.tobytes(), rate_hz=48000, channels=2))

    assert TONE.matches(ear.measure())


def test_telephone_audio_stays_as_it_is() -> None:
    assert to_telephone(TONE.frame(3), rate_hz=8000, channels=1) == TONE.frame(3)


def test_the_phone_plays_its_tone_and_then_what_it_hears() -> None:
    programme = Programme(TONE)
    played = []
    for index in range(400):
        programme.hear(bytes([index % 256, 0]) * FRAME_SAMPLES)
        played.append(programme.next_frame())

    assert played[:250] == [TONE.frame(index) for index in range(250)]
    assert played[-1] == bytes([(399 - 99) % 256, 0]) * FRAME_SAMPLES


def test_the_phone_is_silent_when_there_is_nothing_to_echo() -> None:
    programme = Programme(TONE)

    played = [programme.next_frame() for _ in range(260)]

    assert played[-1] == bytes(2 * FRAME_SAMPLES)
