"""Speech made a little shorter or longer without a click: one pitch period is left out, or heard twice.

So a playout delay is changed, and a sender's clock that is faster or slower than ours made up for.
"""

import math
from collections.abc import Sequence

from bridge.media.concealment import BASE_RATE, power
from bridge.media.pcm import crossfade, dot, likeness

_SHORTEST, _LONGEST, _OVERLAP = 40, 120, 40
"""Samples at 8 kHz; the longest period and the overlap are 20 ms together."""
_STEP = 2
QUIET_ONLY, ALIKE, ANYWAY = 2.0, 0.8, -1.0
"""How alike what is joined must be, as a correlation: of what is alike not much is heard, of what is quiet nothing."""
_QUIET = 3_600
"""Mean square, about -55 dBFS: nothing is heard of it anyway."""


def shortened(samples: Sequence[int], rate: int, *, alike: float) -> list[int] | None:
    """20 ms without one period of 5 to 15 ms; `None` when nothing is as alike as it must be."""
    period = _period(samples, rate, alike)
    if period is None:
        return None
    overlap = _OVERLAP * rate // BASE_RATE
    joint = crossfade(samples[:overlap], samples[period : period + overlap])
    return joint + list(samples[period + overlap :])


def lengthened(samples: Sequence[int], rate: int, *, alike: float) -> list[int] | None:
    """20 ms and one period more; `None` when nothing is as alike as it must be."""
    period = _period(samples, rate, alike)
    if period is None:
        return None
    overlap = _OVERLAP * rate // BASE_RATE
    joint = crossfade(samples[period : period + overlap], samples[:overlap])
    return list(samples[:period]) + joint + list(samples[overlap:])


def _period(samples: Sequence[int], rate: int, least_alike: float) -> int | None:
    scale = rate // BASE_RATE
    overlap, step = _OVERLAP * scale, _STEP * scale
    if power(samples) <= _QUIET:
        return _LONGEST * scale
    if least_alike >= 1:
        return None
    beginning = samples[:overlap]

    def alike(period: int) -> float:
        return likeness(beginning, samples[period : period + overlap], 1)

    best = max(range(_SHORTEST * scale, _LONGEST * scale + 1, step), key=alike)
    strength = math.sqrt(max(dot(beginning, beginning), 1))
    return best if alike(best) >= least_alike * strength else None
