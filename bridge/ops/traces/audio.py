"""How a call sounded over time: from counters at moments to figures of the time between them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bridge.ops.traces.items import Kind
from bridge.store.traces.rows import TraceEntry

_PLAYED = {"matrix": "heard_by_sip", "sip": "heard_by_matrix"}
"""The legs of a call, and where it stands what became of the sound that comes from there."""
_KNOWN = frozenset(("codec", "packets_received", "packets_sent", "packets_lost", "jitter_ms", "mos"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What came from one side during some seconds."""

    codec: str = ""
    packets_per_s: float = 0.0
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    mos: float | None = None
    """Estimated mean opinion score, where the engine has one."""
    further: Mapping[str, float] = field(default_factory=dict)
    """Whatever else the engine knows of this side."""
    lost: bool = False
    """Whether the engine says that nothing comes from there although something should (one-way audio)."""

    @property
    def word(self) -> str:
        """`good`, `fair`, `poor`, `quiet` or `silent`: for a person who looks at many calls at once.

        Quiet is a side that sends nothing, as on hold; silent one of which that is wrong.
        """
        if not self.packets_per_s:
            return "silent" if self.lost else "quiet"
        if self.loss_percent > 5 or self.jitter_ms > 60 or (self.mos is not None and self.mos < 3.1):
            return "poor"
        if self.loss_percent > 1 or self.jitter_ms > 30 or (self.mos is not None and self.mos < 3.8):
            return "fair"
        return "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both sides during some seconds."""

    at: float
    """The end of the interval, on the clock of its samples."""
    client: Sound
    phone: Sound


Sample = tuple[float, Mapping[str, Any]]
"""A moment, and the counters of both legs by then (`MediaStats` as a mapping)."""


def intervals(samples: Sequence[Sample]) -> list[Interval]:
    """The figures between each two samples."""
    return [interval_between(before, after) for before, after in pairwise(samples) if after[0] > before[0]]


def samples_of(entries: Iterable[TraceEntry]) -> list[Sample]:
    """The samples among the entries of a call."""
    return [(entry.at, json.loads(entry.detail)) for entry in entries if entry.kind == Kind.AUDIO]


def interval_between(before: Sample, after: Sample) -> Interval:
    """The figures between two samples, of which the second is later."""
    seconds = after[0] - before[0]
    client, phone = (_sound(before, after, leg, seconds) for leg in _PLAYED)
    return Interval(at=after[0], client=client, phone=phone)


def _part(sample: Sample, name: str) -> Mapping[str, Any]:
    found = sample[1].get(name)
    return found if isinstance(found, Mapping) else {}


def _sound(earlier: Sample, later: Sample, leg: str, seconds: float) -> Sound:
    """Counters that run backwards are those of a new session: it begins at nothing."""
    before, after = _part(earlier, leg), _part(later, leg)
    received, lost = (_grown(before, after, name) for name in ("packets_received", "packets_lost"))
    expected = received + lost
    mos = after.get("mos")
    return Sound(
        codec=str(after.get("codec", "")),
        packets_per_s=received / seconds,
        loss_percent=100 * lost / expected if expected else 0.0,
        jitter_ms=float(after.get("jitter_ms", 0.0)),
        mos=float(mos) if isinstance(mos, int | float) and mos else None,
        further={
            name: value
            for name, value in (*after.items(), *_part(later, _PLAYED[leg]).items())
            if name not in _KNOWN and _is_number(value)
        },
        lost=later[1].get("silent") in (leg, "both"),
    )


def _grown(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int:
    grown = int(after.get(name, 0)) - int(before.get(name, 0))
    return grown if grown >= 0 else int(after.get(name, 0))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
