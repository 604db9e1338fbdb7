"""What became of the marks that one side said: heard, made up, silent; lost on the way or thrown away after it."""

from dataclasses import dataclass
from statistics import median

from tests.media import marks
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
    """Of each that was heard, from being said or sent, sorted."""

    @property
    def made_up(self) -> float:
        """Sound in the place of what was lost."""
        return max(0.0, 1 - self.heard - self.silent)

    @property
    def delay_s(self) -> float | None:
        """The usual delay."""
        return median(self.delays) if self.delays else None


def judge(line: Line, said_at: list[float], first: int, count: int, lost: frozenset[int] | None = None) -> Outcome:
    """What was heard of so many marks, from this frame on; `lost` are the frames that the network lost, where known."""
    said = [at - said_at[first] for at in said_at[first : first + count]]
    found = marks.read(line.since(said_at[first]), said)
    return Outcome(
        heard=sum(at is not None for at in found.at) / count,
        silent=found.silent,
        discarded=None if lost is None else _discarded(found.at, first, lost),
        delays=tuple(sorted(at - when for at, when in zip(found.at, said, strict=True) if at is not None)),
    )


def _discarded(found: list[float | None], first: int, lost: frozenset[int]) -> float:
    delivered = [at for index, at in enumerate(found) if first + index not in lost]
    return sum(at is None for at in delivered) / max(1, len(delivered))
