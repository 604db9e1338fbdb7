"""What stands in for lost audio, and audio that is made shorter or longer: it sounds as before, and nothing clicks."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media import tones
from bridge.media.comfort import ComfortNoise
from bridge.media.concealment import Concealer, power
from bridge.media.pcm import to_octets, to_samples
from bridge.media.timescale import ALIKE, ANYWAY, QUIET_ONLY, lengthened, shortened

HELD_S = 0.00375
FADED_S = 0.06


def buzz(seconds: float, *, rate: int = 8000, pitch_hz: float = 110) -> list[int]:
    """A voiced sound: the harmonics of a pitch."""
    samples = range(round(seconds * rate))
    return [
        round(sum(3000 / k * math.sin(2 * math.pi * k * pitch_hz * n / rate) for k in (1, 2, 3, 5))) for n in samples
    ]


def steepest(samples: Sequence[int]) -> int:
    """The largest step from one sample to the next: what clicks is steep."""
    return max(abs(after - before) for before, after in pairwise(samples))


def similarity(left: Sequence[int], right: Sequence[int]) -> float:
    """1 for the same, 0 for what has nothing to do with each other."""
    together = sum(a * b for a, b in zip(left, right, strict=True))
    return together / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("pitch_hz", [72, 110, 185])
def test_a_voice_goes_on_through_a_gap_as_if_nothing_had_happened(rate: int, pitch_hz: float) -> None:
    voice, frame = buzz(0.6, rate=rate, pitch_hz=pitch_hz), rate // 50
    concealer, heard = Concealer(rate), []
    for n, start in enumerate(range(0, len(voice), frame)):
        lost = n in (15, 22)
        heard += concealer.conceal(frame) if lost else concealer.hear(voice[start : start + frame])
    held = round(HELD_S * rate)
    for gap in (15, 22):
        begin = gap * frame
        assert similarity(heard[begin + held : begin + frame], voice[begin : begin + frame - held]) > 0.95
    assert steepest(heard) <= 1.2 * steepest(voice)


def test_audio_that_comes_is_not_changed() -> None:
    voice, concealer, heard = buzz(0.2), Concealer(), []
    for start in range(0, len(voice), 160):
        heard += concealer.hear(voice[start : start + 160])
    held = round(HELD_S * 8000)
    assert heard[held:] == voice[:-held]


def test_a_long_gap_fades_to_nothing_within_60_ms_and_does_not_buzz() -> None:
    concealer = Concealer()
    concealer.hear(buzz(0.5))
    made_up = concealer.conceal(800)
    levels = [power(made_up[n : n + 80]) for n in range(0, 800, 80)]
    assert levels[1:] == sorted(levels[1:], reverse=True)
    assert power(made_up[round((HELD_S + FADED_S) * 8000) :]) == 0
    assert power(made_up[:80]) > 0.8 * power(buzz(0.5)[-80:])


def test_the_end_of_a_gap_does_not_click() -> None:
    chance = random.Random(1)
    for _ in range(20):
        concealer, frames = Concealer(), chance.randrange(1, 6)
        heard = concealer.hear(buzz(0.4, pitch_hz=110))
        heard += concealer.conceal(160 * frames)
        heard += concealer.hear(buzz(0.1, pitch_hz=chance.choice((80, 130, 170))))
        assert steepest(heard) <= 1.3 * steepest(buzz(0.4, pitch_hz=170))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(-32768, 32767)), max_size=20))
def test_no_stretch_of_audio_breaks_it(steps: list[tuple[bool, int, int]]) -> None:
    concealer, given_out, taken = Concealer(), 0, 0
    for lost, count, level in steps:
        heard = concealer.conceal(count) if lost else concealer.hear([level, ~level] * (count // 2) + [0] * (count % 2))
        given_out, taken = given_out + len(heard), taken + count
        assert len(to_octets(heard)) == 2 * len(heard)
    assert given_out == taken


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_voice_is_made_shorter_and_longer_by_whole_periods(rate: int) -> None:
    voice, frame = buzz(0.5, rate=rate, pitch_hz=100), rate // 50
    for change, sign in ((shortened, -1), (lengthened, 1)):
        changed = change(voice[:frame], rate, alike=ALIKE)
        assert changed is not None
        assert len(changed) - frame == pytest.approx(sign * rate / 100, abs=2 * rate / 8000)
        assert steepest(changed + voice[frame:]) <= 1.2 * steepest(voice)
        assert change(voice[:frame], rate, alike=QUIET_ONLY) is None, "a pause is the better place"


def test_what_cannot_be_shortened_unheard_is_shortened_in_need_only() -> None:
    chance = random.Random(2)
    hiss = [chance.randrange(-8000, 8000) for _ in range(160)]
    assert shortened(hiss, 8000, alike=ALIKE) is None
    assert lengthened(hiss, 8000, alike=ALIKE) is None
    assert len(shortened(hiss, 8000, alike=ANYWAY) or ()) < 160
    assert shortened([3] * 160, 8000, alike=QUIET_ONLY) == [3] * 40, "of silence, as much as can be"


def test_comfort_noise_is_as_loud_as_the_line_was_between_words() -> None:
    chance, noise = random.Random(3), ComfortNoise()
    for n in range(100):
        noise.hear(power([chance.randrange(-40, 40) for _ in range(160)] if n % 10 < 3 else buzz(0.02)))
    assert power(noise.samples(8000)) == pytest.approx(40 * 40 / 3, rel=0.3)


def test_music_leaves_no_roar() -> None:
    noise = ComfortNoise()
    for _ in range(1000):
        noise.hear(power(buzz(0.02)))
    assert tones.level_dbfs(to_octets(noise.samples(8000))) < -51


def test_digital_silence_stays_silence() -> None:
    noise = ComfortNoise()
    noise.hear(power([0] * 160))
    assert noise.samples(160) == [0] * 160


@pytest.mark.parametrize("level", [60, 70, 80])
def test_comfort_noise_is_as_loud_as_it_is_told_to_be(level: int) -> None:
    noise = ComfortNoise()
    noise.hear(power([0] * 160))
    noise.told(bytes((level, 1, 2, 3)))
    loudness = 10 * math.log10(power(noise.samples(8000)) / 32767**2)
    assert loudness == pytest.approx(-level, abs=2), "of whole numbers, so it is not exact"


def test_octets_and_samples_are_the_same_audio() -> None:
    assert list(to_samples(b"\x01\x00\xff\xff\x00\x80")) == [1, -1, -32768]
    assert to_octets([1, -1, -32768]) == b"\x01\x00\xff\xff\x00\x80"


def test_a_voice_that_rises_is_repeated_without_a_click() -> None:
    phase, gliding = 0.0, []
    for n in range(4000):
        phase += 2 * math.pi * (90 + 60 * n / 4000) / 8000
        gliding.append(round(6000 * math.sin(phase) + 3000 * math.sin(2 * phase + n / 900)))
    for spoken in range(2000, 4000, 130):
        concealer = Concealer()
        concealer.hear(gliding[:spoken])
        assert steepest(concealer.conceal(400)) <= 1.3 * steepest(gliding), spoken
