"""Tones in the audio: of keys, recognised and made, and those that tell how a call stands."""

import math
import random
from collections.abc import Callable, Iterator

import pytest

from bridge.core.ids import CallId
from bridge.media import tones
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent, PhoneDigitPressed
from bridge.media.formats import Codec
from bridge.media.keypad import KEYS
from bridge.media.pcm import to_samples
from bridge.media.policy import SipMediaPolicy
from bridge.media.tone_detector import ToneDetector
from bridge.media.tone_plan import key_tone, ringback
from tests.media.phone import Phone
from tests.media.placing import CALL
from tests.media.test_calls import paced
from tests.media.waiting import Collected

KEYPAD = "123A456B789C*0#D"
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
IN_TONES = SipMediaPolicy(digits_as_tones=True)


def pressed(
    key: str,
    ms: float,
    *,
    low_db: float = -12.0,
    high_db: float = -12.0,
    low_off: float = 0.0,
    high_off: float = 0.0,
    chance: random.Random,
) -> list[int]:
    """A key with each tone so loud, and so much off its frequency."""
    position, phases = KEYPAD.index(key), (chance.uniform(0, 7), chance.uniform(0, 7))
    low, high = ROWS[position // 4] * (1 + low_off), COLUMNS[position % 4] * (1 + high_off)
    loud = [32767 * 10 ** (db / 20) for db in (low_db, high_db)]
    turns = [2 * math.pi * n / 8000 for n in range(round(ms * 8))]
    waves = (loud[0] * math.sin(low * turn + phases[0]) + loud[1] * math.sin(high * turn + phases[1]) for turn in turns)
    return [round(wave) for wave in waves]


def recognised(samples: list[int]) -> str:
    """The keys, when the audio comes as packets do."""
    detector, silence = ToneDetector(), [0] * 400
    audio = [*samples, *silence]
    return "".join(key for start in range(0, len(audio), 160) for key in detector.hear(audio[start : start + 160]))


def shares(make: Callable[[str, random.Random], list[int]]) -> Iterator[tuple[str, str]]:
    """Each key, three times, somewhere between the packets, and what it was taken for."""
    chance = random.Random(1)
    for key in 3 * KEYPAD:
        yield key, recognised([0] * chance.randrange(160) + make(key, chance))


@pytest.mark.parametrize(
    "limits",
    [
        {"ms": 40},
        {"ms": 50, "low_off": 0.015, "high_off": -0.015},
        {"ms": 50, "low_off": -0.015, "high_off": 0.015},
        {"ms": 50, "high_db": -19.5},
        {"ms": 50, "low_db": -15.5},
        {"ms": 50, "low_db": -30.0, "high_db": -30.0},
    ],
    ids=str,
)
def test_a_key_within_the_limits_is_recognised_once(limits: dict[str, float]) -> None:
    assert all(key == heard for key, heard in shares(lambda key, chance: pressed(key, **limits, chance=chance)))


@pytest.mark.parametrize(
    "limits",
    [
        {"ms": 10},
        {"ms": 80, "low_off": 0.035},
        {"ms": 80, "low_off": -0.035},
        {"ms": 80, "high_off": 0.035},
        {"ms": 80, "high_off": -0.035},
        {"ms": 80, "low_db": -50.0, "high_db": -50.0},
        {"ms": 80, "low_db": -60.0},
    ],
    ids=str,
)
def test_what_is_beyond_the_limits_is_no_key(limits: dict[str, float]) -> None:
    assert {heard for _, heard in shares(lambda key, chance: pressed(key, **limits, chance=chance))} == {""}


def test_noise_of_a_line_hides_no_key() -> None:
    def noisy(key: str, chance: random.Random) -> list[int]:
        return [sample + round(chance.gauss(0, 1000)) for sample in pressed(key, 60, chance=chance)]

    assert all(key == heard for key, heard in shares(noisy))


def test_a_short_interruption_is_no_second_key_and_a_pause_is() -> None:
    chance = random.Random(2)
    for gap_ms, times in ((5, 1), (40, 2)):
        for key in KEYPAD:
            halves = [pressed(key, 60, chance=chance) for _ in range(2)]
            assert recognised([*halves[0], *[0] * (gap_ms * 8), *halves[1]]) == times * key


def voiced(chance: random.Random) -> Iterator[int]:
    """What a voice is made of: harmonics under formants, the pitch gliding."""
    phase, pitch = 0.0, 120.0
    for _ in range(12):
        aim, formants = chance.uniform(80, 350), [chance.uniform(*band) for band in ((250, 900), (700, 2300))]
        for n in range(800):
            hz = pitch + (aim - pitch) * n / 800
            phase += 2 * math.pi * hz / 8000
            heights = ((k, sum(1 / (1 + ((k * hz - f) / 90) ** 2) for f in formants)) for k in range(1, int(3400 / hz)))
            yield round(4000 * sum(height * math.sin(k * phase) for k, height in heights))
        pitch = aim


@pytest.mark.parametrize("seed", range(3))
def test_a_voice_presses_no_keys(seed: int) -> None:
    assert recognised(list(voiced(random.Random(seed)))) == ""


@pytest.mark.parametrize("key", KEYPAD)
def test_a_key_of_ours_is_recognised_and_as_long_as_it_was_pressed(key: str) -> None:
    tone = key_tone(key.lower(), 130)
    assert tone is not None
    samples = list(to_samples(tone.pcm))
    assert recognised(samples) == key
    assert max(abs(sample) for sample in samples) < 32767
    assert (len(samples) / 8, any(samples[8 * 135 : 8 * 140]), any(samples[8 * 141 :])) == (220.0, True, False)
    assert key_tone(key, 130) is tone


def test_what_is_no_key_has_no_tone() -> None:
    assert [key_tone(digit, 100) for digit in ("!", "x", "", "12")] == [None] * 4


@pytest.mark.parametrize(
    ("region", "rhythm_s", "pitches"),
    [
        ("us", (2.0, 4.0), (440, 480)),
        ("GB", (0.4, 0.2, 0.4, 2.0), (400, 450)),
        ("FR", (1.5, 3.5), (440,)),
        ("DE", (1.0, 4.0), (425,)),
        ("", (1.0, 4.0), (425,)),
    ],
)
def test_a_phone_rings_as_in_its_country_and_without_a_gap(
    region: str, rhythm_s: tuple[float, ...], pitches: tuple[int, ...]
) -> None:
    sound = ringback(region)
    assert sound.duration_ms == round(sum(rhythm_s) * 1000)
    first, silence = 2 * round(rhythm_s[0] * 8000), 2 * round(sum(rhythm_s[:2]) * 8000)
    for hz in pitches:
        assert tones.goertzel_dbfs(sound.pcm[:first], hz) == pytest.approx(-16, abs=0.7)
    assert not any(sound.pcm[first:silence])
    assert ringback(region) is sound


# Whole calls


def told(audio: bytes) -> str:
    """The keys that are heard in PCM."""
    return "".join(ToneDetector().hear(to_samples(audio)))


@pytest.mark.parametrize("workers", [2])
async def test_a_phone_without_events_hears_the_clients_keys_as_tones(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    other = await Phone.open()
    session = await engine.open(CALL, IN_TONES)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp("0"))
    second = await engine.open(CallId("other"))
    other.aim(await second.create_sip_offer())
    await second.set_sip_answer(other.sdp("0 101"))
    await session.join(second)
    await second.play_digits("9", 100)
    for event in (5, 5, 11):
        other.send_digit(event)
    await phone.received.until(lambda _: told(phone.audio()) == "955#")
    assert [packet.payload_type for packet in phone.received.items if packet.payload_type != 0] == []
    await other.close()


@pytest.mark.parametrize(("law", "codec"), [("0", Codec.PCMU), ("8", Codec.PCMA)])
async def test_tones_of_a_phone_without_events_are_told_as_keys(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, law: str, codec: Codec
) -> None:
    session = await engine.open(CALL, IN_TONES)
    await session.set_sip_offer(phone.sdp(law))
    phone.aim(await session.create_sip_answer())
    await session.report_phone_digits(True)
    for key in "40*D":
        tone = key_tone(key, 60)
        assert tone is not None
        for frame in tone.frames(codec):
            phone.send(frame, int(law))
    assert await events.count(4) == [PhoneDigitPressed(call_id=CALL, digit=digit) for digit in "40*D"]


async def test_tones_of_a_phone_with_events_are_sound(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone
) -> None:
    """Many a gateway lets the beginning of a key through before it sends the event."""
    session = await engine.open(CALL, IN_TONES)
    await session.set_sip_offer(phone.sdp("0 101"))
    phone.aim(await session.create_sip_answer())
    await session.report_phone_digits(True)
    tone = key_tone("5", 100)
    assert tone is not None
    for frame in tone.frames(Codec.PCMU):
        phone.send(frame)
    phone.send_digit(5)
    phone.send_digit(6)
    assert await events.count(2) == [PhoneDigitPressed(call_id=CALL, digit=digit) for digit in "56"]


@pytest.mark.parametrize("by_signalling", [False, True])
@pytest.mark.parametrize("workers", [2])
async def test_ten_percent_of_loss_costs_no_key_and_doubles_none(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, by_signalling: bool
) -> None:
    """Those for signalling are told whole, when they are over."""
    chance = random.Random(3)
    keys = [chance.randrange(12) for _ in range(120)]
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp("0 101"))
    phone.aim(await session.create_sip_answer())
    if by_signalling:
        other = await engine.open(CallId("other"), SipMediaPolicy(digits_in_rtp=False))
        listener = await Phone.open()
        await other.create_sip_offer()
        await other.set_sip_answer(listener.sdp("0"))
        await session.join(other)
        await listener.close()
    else:
        await session.report_phone_digits(True)
    phone.loses = lambda: chance.random() < 0.1

    async def press(number: int) -> None:
        phone.send_digit(keys[number])

    await paced(len(keys), press)
    await events.count(len(keys))
    told = [getattr(event, "digit", "") for event in events.items]
    assert told == [KEYS[key] for key in keys]
    assert phone.lost > 50
