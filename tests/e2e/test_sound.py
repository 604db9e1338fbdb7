"""The ears of the end-to-end tests: what they measure is what was played."""

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.sound import Tone, level_db, level_near, measure, recorded_so_far, sine, write_wav


@pytest.mark.parametrize("pitch_hz", [440, 660, 1000])
@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_pitch_and_level_of_a_tone_are_measured(pitch_hz: float, rate_hz: int) -> None:
    tone = Tone(pitch_hz=pitch_hz, level_db=-12)
    heard = measure(sine(tone, rate_hz=rate_hz, seconds=0.5), rate_hz)
    assert heard.is_like(tone, pitch_hz=0.5, level_db=0.1)


def test_another_pitch_or_level_is_not_the_same_tone() -> None:
    tone = Tone(pitch_hz=440, level_db=-12)
    heard = measure(sine(tone, rate_hz=8000, seconds=0.5), 8000)
    assert not heard.is_like(Tone(pitch_hz=450, level_db=-12))
    assert not heard.is_like(Tone(pitch_hz=440, level_db=-15))


def test_silence_has_no_pitch() -> None:
    assert measure(np.zeros(4000), 8000).pitch_hz == 0
    assert level_db(np.array([])) == -120


def test_a_voice_that_is_mixed_in_is_found() -> None:
    loud, soft = Tone(pitch_hz=1000, level_db=-12), Tone(pitch_hz=440, level_db=-40)
    mixed = sine(loud, rate_hz=8000, seconds=1) + sine(soft, rate_hz=8000, seconds=1)
    assert level_near(mixed, 8000, 440) == pytest.approx(-40, abs=0.5)
    assert level_near(sine(loud, rate_hz=8000, seconds=1), 8000, 440) < -80


def test_a_recording_is_read_while_it_grows(tmp_path: Path) -> None:
    tone = Tone(pitch_hz=440)
    path = write_wav(tmp_path / "tone.wav", sine(tone, rate_hz=8000, seconds=1), rate_hz=8000)
    path.write_bytes(path.read_bytes()[:-4001])
    assert measure(recorded_so_far(path), 8000).is_like(tone)
