"""What a phone hears while the user's client holds it, unless the configuration has a recording: a tone."""

from functools import lru_cache

from bridge.media import tones
from bridge.media.coders import RATE
from bridge.media.sounds import Sound

_TONE_HZ, _TONE_DBFS = 425.0, -24.0
_TONE_S, _PAUSE_S = 0.2, 4.8


@lru_cache(maxsize=1)
def hold_tone() -> Sound:
    """A soft beep every five seconds: the line is not dead (ITU-T E.182, holding tone)."""
    return Sound(tones.sine(_TONE_HZ, _TONE_S, level_dbfs=_TONE_DBFS) + bytes(2 * round(_PAUSE_S * RATE)))
