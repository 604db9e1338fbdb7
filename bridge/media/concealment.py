"""What is heard in place of a lost stretch of speech: its last pitch periods again (ITU-T G.711 appendix I).

For any codec without a concealment of its own. The output is 3.75 ms behind the input, so that the last quarter of a
period before a gap can be bent towards what will be repeated. Clause numbers are those of the appendix.
"""

from collections.abc import Iterator, Sequence

from bridge.media.pcm import UNITY, crossfade, dot, likeness

BASE_RATE = 8000
_SHORTEST_PERIOD, _LONGEST_PERIOD = 40, 120
"""Samples at 8 kHz: pitches of 200 down to 66 Hz (I.2.2)."""
_COMPARED = 160
_COARSE_STEP = 2
_QUARTER = _LONGEST_PERIOD // 4
_HISTORY = 3 * _LONGEST_PERIOD + _QUARTER
_CHUNK = 80
"""10 ms: what is added, and faded, is counted in these (I.2.5, I.2.7)."""
_MOST_PERIODS = 3
_FADE = UNITY // 5
"""After the first 10 ms a fifth of the level is lost every 10 ms; after 60 ms there is silence (I.2.7)."""
_LONGER_OVERLAP = 32
_LEAST_POWER = 250


class Concealer:
    """One stream's history, and the state of the gap that it is in."""

    def __init__(self, rate: int = BASE_RATE) -> None:
        self._scale = rate // BASE_RATE
        self._history = [0] * (_HISTORY * self._scale)
        self._chunk = _CHUNK * self._scale
        self._held = _QUARTER * self._scale
        self._source: list[int] = []
        """The history as it was when the gap began, its last quarter period bent towards the one before."""
        self._unbent: list[int] = []
        self._period = self._periods = self._offset = self._gone = 0

    def hear(self, samples: Sequence[int]) -> list[int]:
        """Audio that arrived, 3.75 ms later; after a gap it grows out of what was made up (I.2.8)."""
        heard = list(samples)
        if self._gone:
            chunks = -(-self._gone // self._chunk)
            longer = _LONGER_OVERLAP * self._scale * (chunks - 1)
            overlap = min(self._period // 4 + longer, self._chunk, len(heard))
            heard[:overlap] = crossfade(list(self._faded(overlap)), heard)
            self._gone = 0
        return self._pass_on(heard)

    def conceal(self, count: int) -> list[int]:
        """So many samples in place of lost ones."""
        made_up: list[int] = []
        while len(made_up) < count:
            left = self._chunk - self._gone % self._chunk
            made_up += self._one_chunk(min(left, count - len(made_up)))
        return made_up

    def _one_chunk(self, count: int) -> list[int]:
        if not self._gone:
            self._begin()
        elif self._gone % self._chunk == 0 and self._periods < _MOST_PERIODS:
            chunk = self._with_another_period(count)
            return self._pass_on(chunk)
        chunk = list(self._faded(count))
        self._gone += count
        return self._pass_on(chunk)

    def _pass_on(self, samples: list[int]) -> list[int]:
        """Remember samples, and give out as many older ones."""
        history, count = self._history + samples, len(samples)
        self._history = history[count:]
        return history[-count - self._held : -self._held] if count else []

    # The gap

    def _begin(self) -> None:
        """Find the pitch, and make the end of the last period lead into its beginning (I.2.4)."""
        history = self._history
        self._period, self._periods, self._offset = self._pitch(), 1, 0
        quarter = self._period // 4
        self._unbent = history[-quarter:]
        bent = crossfade(self._unbent, history[-quarter - self._period : -self._period])
        self._source = history[:-quarter] + bent
        self._history = list(self._source)

    def _with_another_period(self, count: int) -> list[int]:
        """Repeat one period more from here on, so that it does not buzz (I.2.5)."""
        quarter, source = self._period // 4, self._source
        before, going_on = self._offset, list(self._repeated(quarter))
        self._offset = before % self._period
        self._periods += 1
        start = len(source) - self._periods * self._period
        source[-quarter:] = crossfade(self._unbent, source[start - quarter : start])
        chunk = list(self._repeated(count))
        chunk[:quarter] = crossfade(going_on, chunk)[:count]
        faded = [sample * self._gain(self._gone + n) >> 15 for n, sample in enumerate(chunk)]
        self._gone += count
        return faded

    def _faded(self, count: int) -> Iterator[int]:
        return (sample * self._gain(self._gone + n) >> 15 for n, sample in enumerate(self._repeated(count)))

    def _gain(self, position: int) -> int:
        return max(UNITY - max(position - self._chunk, 0) * _FADE // self._chunk, 0)

    def _repeated(self, count: int) -> Iterator[int]:
        """The last periods before the gap, over and over."""
        span = self._period * self._periods
        start = len(self._source) - span
        for _ in range(count):
            yield self._source[start + self._offset]
            self._offset = (self._offset + 1) % span

    def _pitch(self) -> int:
        """By how much the last 20 ms resemble what was before: roughly first, then to the sample (I.2.2)."""
        coarse = _COARSE_STEP * self._scale
        lags = range(_SHORTEST_PERIOD * self._scale, _LONGEST_PERIOD * self._scale + 1, coarse)
        best = max(lags, key=lambda lag: self._resemblance(lag, coarse))
        lowest, highest = max(best - coarse + 1, lags[0]), min(best + coarse - 1, lags[-1])
        return max(range(lowest, highest + 1), key=lambda lag: self._resemblance(lag, 1))

    def _resemblance(self, lag: int, step: int) -> float:
        compared = _COMPARED * self._scale
        now, then = self._history[-compared::step], self._history[-compared - lag : -lag : step]
        return likeness(now, then, _LEAST_POWER)


def power(samples: Sequence[int]) -> int:
    """The mean square."""
    return dot(samples, samples) // len(samples) if samples else 0
