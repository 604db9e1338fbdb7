"""What became of the marks that one side said: heard, made up, silent; lost on the way or thrown away after it."""

import bisect
from dataclasses import dataclass
from statistics import median

import numpy as np

from tests.media import marks
from tests.media.rough_network import Passage
from tests.media.talking import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Shares of one, and seconds."""

    heard: float
    """Of all marks: those that could be told, in the order in which they were said; some of them lost and recovered."""
    silent: float
    """Of the time: no sound at all. What is neither heard nor silent was made up."""
    discarded: float | None
    """Of the marks that the network delivered: those that could not be told. `None` where it is not known which marks
    were in which packets."""
    delays: tuple[float, ...]
    """Of each that was heard, from being said, sorted."""

    @property
    def made_up(self) -> float:
        """Sound in the place of what was lost."""
        return max(0.0, 1 - self.heard - self.silent)

    @property
    def delay_s(self) -> float | None:
        """The usual delay."""
        return median(self.delays) if self.delays else None


def judge(line: Line, said_at: list[float], first: int, count: int, passed: list[Passage] | None) -> Outcome:
    """What was heard of so many marks, from this frame on; `passed` is what the network got."""
    said = [at - said_at[first] for at in said_at[first : first + count]]
    found = marks.read(line.since(said_at[first]), said)
    return Outcome(
        heard=sum(at is not None for at in found.at) / count,
        silent=found.silent,
        discarded=None if passed is None else _discarded(found.at, first, _lost(passed, said_at)),
        delays=tuple(sorted(at - when for at, when in zip(found.at, said, strict=True) if at is not None)),
    )


def _discarded(found: list[float | None], first: int, lost: set[int]) -> float:
    delivered = [at for index, at in enumerate(found) if first + index not in lost]
    return sum(at is None for at in delivered) / max(1, len(delivered))


def _lost(passed: list[Passage], said_at: list[float]) -> set[int]:
    """Which frames the network lost: packets leave right after the frame that is in them was said."""
    if not passed:
        return set(range(len(said_at)))
    step = int(np.median(np.diff([passage.timestamp for passage in passed])))
    numbers = [round((passage.timestamp - passed[0].timestamp) / step) for passage in passed]
    said = [bisect.bisect_right(said_at, passage.at) - 1 for passage in passed]
    ahead = round(median(frame - number for frame, number in zip(said, numbers, strict=True)))
    return {number + ahead for number, passage in zip(numbers, passed, strict=True) if passage.lost}
