"""Tones that tell a caller how a call stands, by country, and tones of keys (ITU-T E.180, Q.23)."""

from dataclasses import dataclass
from functools import lru_cache

from bridge.media import tones
from bridge.media.coders import FRAME_BYTES, RATE
from bridge.media.pcm import to_octets, to_samples
from bridge.media.sounds import Sound

_DBFS = -16.0
"""Of each of the frequencies: about -13 dBm0."""
_KEY_LOW_DBFS, _KEY_HIGH_DBFS = -13.0, -11.0
"""The upper tone is louder, since lines dampen it more."""
_KEY_STEP_MS, _SHORTEST_KEY_MS, _LONGEST_KEY_MS, _KEY_PAUSE_MS = 20, 80, 1000, 80
_ROWS, _COLUMNS = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
_KEYPAD = "123A456B789C*0#D"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """A tone that comes and goes; a sound of it is one period, or as many as fill whole frames, to be repeated."""

    frequencies_hz: tuple[float, ...]
    rhythm_s: tuple[float, ...]
    """Tone, pause, tone, pause and so on."""


def _beats(*rhythm_s: float, hz: tuple[float, ...] = (425.0,)) -> Cadence:
    return Cadence(frequencies_hz=hz, rhythm_s=rhythm_s)


_RECOMMENDED = _beats(1.0, 4.0)
_NORTH_AMERICA = _beats(2.0, 4.0, hz=(440.0, 480.0))
_RINGBACK = {
    "US": _NORTH_AMERICA,
    "CA": _NORTH_AMERICA,
    "GB": _beats(0.4, 0.2, 0.4, 2.0, hz=(400.0, 450.0)),
    "FR": _beats(1.5, 3.5, hz=(440.0,)),
    "AT": _beats(1.0, 5.0, hz=(420.0,)),
    "ES": _beats(1.5, 3.0),
}
"""By region (ISO 3166), as the annex of ITU-T E.180 lists them; elsewhere it is what E.180 recommends."""


def ringback(region: str) -> Sound:
    """What somebody hears in a country while the phone rings that they have called."""
    return _sound_of(_RINGBACK.get(region.upper(), _RECOMMENDED))


@lru_cache(maxsize=64)
def _sound_of(cadence: Cadence) -> Sound:
    """One object for all who play it."""
    period = b"".join(
        _chord(cadence.frequencies_hz, seconds) if number % 2 == 0 else bytes(2 * round(seconds * RATE))
        for number, seconds in enumerate(cadence.rhythm_s)
    )
    times = next(n for n in range(1, FRAME_BYTES + 1) if n * len(period) % FRAME_BYTES == 0)
    return Sound(period * times)


def _chord(frequencies_hz: tuple[float, ...], seconds: float) -> bytes:
    voices = [to_samples(tones.sine(hz, seconds, level_dbfs=_DBFS)) for hz in frequencies_hz]
    return to_octets(map(sum, zip(*voices, strict=True)))


@lru_cache(maxsize=1)
def beep() -> Sound:
    """What tells that a recording begins (ITU-T E.180, recording tone: 1400 Hz)."""
    return Sound(tones.sine(1400.0, 0.4, level_dbfs=_DBFS))


def key_tone(digit: str, duration_ms: int) -> Sound | None:
    """A key as it is heard, with a pause after it; `None` for what has no tone, the hook flash."""
    position = _KEYPAD.find(digit.upper())
    if position < 0 or len(digit) != 1:
        return None
    steps = -(-min(max(duration_ms, _SHORTEST_KEY_MS), _LONGEST_KEY_MS) // _KEY_STEP_MS)
    return _key_tone(position, steps * _KEY_STEP_MS)


@lru_cache(maxsize=128)
def _key_tone(position: int, duration_ms: int) -> Sound:
    seconds = duration_ms / 1000
    low = to_samples(tones.sine(_ROWS[position // 4], seconds, level_dbfs=_KEY_LOW_DBFS))
    high = to_samples(tones.sine(_COLUMNS[position % 4], seconds, level_dbfs=_KEY_HIGH_DBFS))
    return Sound(to_octets(map(sum, zip(low, high, strict=True))) + bytes(2 * _KEY_PAUSE_MS * RATE // 1000))
