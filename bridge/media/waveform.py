"""A picture of a sound that grows: peaks of equal stretches, however long it becomes."""

from itertools import pairwise

from bridge.media.pcm import UNITY, to_samples
from bridge.media.recording import WAVEFORM_PEAK, WAVEFORM_VALUES

_AUDIBLE = 500
"""About -36 dBFS: less is the noise of a line on which nobody speaks."""
_LEAST_AUDIBLE_FRAMES = 10


class Waveform:
    """Takes frames of equal length, keeps at most twice as many peaks as are shown."""

    def __init__(self) -> None:
        self._peaks: list[int] = []
        self._frames_each = 1
        """How many frames one peak stands for."""
        self._peak = self._frames = self._audible = 0

    @property
    def heard(self) -> bool:
        """Whether it has been loud for 0.2 s in all."""
        return self._audible >= _LEAST_AUDIBLE_FRAMES

    def take(self, pcm: bytes) -> None:
        """The next frame."""
        samples = to_samples(pcm)
        loudest = max(max(samples), -min(samples))
        self._audible += loudest >= _AUDIBLE
        self._peak, self._frames = max(self._peak, loudest), self._frames + 1
        if self._frames == self._frames_each:
            self._peaks.append(self._peak)
            self._peak = self._frames = 0
        if len(self._peaks) == 2 * WAVEFORM_VALUES:
            self._peaks = [max(self._peaks[n : n + 2]) for n in range(0, len(self._peaks), 2)]
            self._frames_each *= 2

    def values(self) -> tuple[int, ...]:
        """Up to 100 peaks, 0 to 1024."""
        peaks = [*self._peaks, self._peak] if self._frames else self._peaks
        count = min(len(peaks), WAVEFORM_VALUES)
        edges = [n * len(peaks) // count for n in range(count + 1)] if count else []
        return tuple(max(peaks[start:end]) * WAVEFORM_PEAK // UNITY for start, end in pairwise(edges))
