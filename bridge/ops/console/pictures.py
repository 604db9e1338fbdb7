"""Sound as pictures: strips for many calls at a glance, curves for one. Numbers for SVG; colours are the style's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from bridge.ops.traces.audio import Interval, Sound

STRIP = 40
"""Intervals of a strip."""
BAR = 4
"""Width of one, in units of the picture, which is 16 high."""
_TALL = {"good": 10, "fair": 13, "poor": 16, "quiet": 4, "silent": 16}
WIDTH, HEIGHT = 600.0, 120.0
_MAX_POINTS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One figure of one side over time."""

    side: str
    points: str
    """Of an SVG polyline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure of both sides."""

    title: str
    unit: str
    highest: float
    """What the upper edge stands for."""
    curves: tuple[Curve, ...]
    seconds: float


def strip(sound: Sequence[Interval], side: str) -> dict[str, str]:
    """The last intervals of one side, the newest at the right end: an SVG path for each word.

    Paths, because hundreds of strips of bars are rendered again every two seconds.
    """
    words = _words(sound, side)
    first = STRIP - len(words)
    paths: dict[str, str] = {}
    for index, word in enumerate(words, first):
        paths[word] = f"{paths.get(word, '')}M{index * BAR} 16h{BAR - 1}v-{_TALL[word]}h-{BAR - 1}z"
    return paths


def told(sound: Sequence[Interval], side: str) -> str:
    """A strip for who cannot see it: `good 12, poor 2, good 3`."""
    runs = [f"{word} {len(list(run))}" for word, run in groupby(_words(sound, side))]
    return ", ".join(runs[-6:])


def _words(sound: Sequence[Interval], side: str) -> list[str]:
    return [of(interval, side).word for interval in sound[-STRIP:]]


def of(interval: Interval, side: str) -> Sound:
    """One side of an interval."""
    return interval.client if side == "client" else interval.phone


_FIGURES: tuple[tuple[str, str, float, Callable[[Sound], float | None]], ...] = (
    ("Estimated quality", "MOS", 5.0, lambda sound: sound.mos),
    ("Packets", "per second", 60.0, lambda sound: sound.packets_per_s),
    ("Loss", "percent", 5.0, lambda sound: sound.loss_percent),
    ("Jitter", "milliseconds", 20.0, lambda sound: sound.jitter_ms),
    ("Round trip", "milliseconds", 200.0, lambda sound: sound.further.get("round_trip_ms")),
)
"""Title, unit, what the upper edge is at least, and the figure."""


def charts(sound: Sequence[Interval]) -> list[Chart]:
    """Curves of every figure that was measured."""
    step = -(-len(sound) // _MAX_POINTS) or 1
    shown = sound[::step]
    found = (_chart(shown, *figure) for figure in _FIGURES)
    return [chart for chart in found if chart.curves]


def _chart(
    sound: Sequence[Interval], title: str, unit: str, least: float, figure: Callable[[Sound], float | None]
) -> Chart:
    sides = {side: [figure(of(interval, side)) for interval in sound] for side in ("client", "phone")}
    values = [value for column in sides.values() for value in column if value is not None]
    highest = max(least, *values) if values else least
    begin, seconds = (sound[0].at, sound[-1].at - sound[0].at) if len(sound) > 1 else (0.0, 0.0)
    curves = []
    for side, column in sides.items():
        points = [
            f"{WIDTH * (interval.at - begin) / seconds:.1f},{HEIGHT * (1 - value / highest):.1f}"
            for interval, value in zip(sound, column, strict=True)
            if value is not None and seconds
        ]
        if points:
            curves.append(Curve(side=side, points=" ".join(points)))
    return Chart(title=title, unit=unit, highest=highest, curves=tuple(curves), seconds=seconds)
