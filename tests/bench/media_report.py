"""The figures of `media` as rows, as a table, and held against what is aimed at."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Row = dict[str, str | float]
Figures = defaultdict[tuple[str, str, str], list[float]]
"""By kind of audio, engine and unit: one of each round."""
COST = "% core/call"
_UNITS = (COST, "p50 ms", "p99 ms", "kB/call")
_KINDS = ("passthrough", "opus")
_TITLES = {"passthrough": "PCMU passed through", "opus": "Opus to PCMU and back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a figure should be: at least so much, or at most."""

    name: str
    text: str
    limit: float
    least: bool
    value: Callable[[Figures], float | None]

    def judged(self, figures: Figures) -> Row | None:
        """The aim as a row; `None` when a figure that it needs was not taken."""
        value = self.value(figures)
        if value is None:
            return None
        met = value >= self.limit if self.least else value <= self.limit
        word = "at least" if self.least else "at most"
        return {
            "name": f"media_aim_{self.name}",
            "value": round(value, 3),
            "unit": f"({word} {self.limit:g})",
            "aim": self.text,
            "met": str(met).lower(),
        }


def rows(figures: Figures) -> list[Row]:
    """One for each engine, kind and unit, calls a core beside the cost, and one for each aim."""
    found: list[Row] = []
    for (kind, engine, unit), values in figures.items():
        row: Row = {"name": f"media_{kind}_{engine}", "value": round(_best(unit, values), 4), "unit": unit}
        row["median"] = round(median(values), 4)
        if engine in ("rtpengine", "aiortc"):
            row["peer"] = engine
        if unit == COST and engine not in ("native", "floor") and (kind, "native", COST) in figures:
            row["ratio"] = round(min(values) / min(figures[kind, "native", COST]), 2)
        found.append(row)
        if unit == COST:
            found.append({"name": row["name"], "value": round(100 / min(values)), "unit": "calls/core"})
    return found + [row for row in (aim.judged(figures) for aim in AIMS) if row is not None]


def show(found: list[Row]) -> None:
    """Print a table for each kind of audio, then the aims."""
    values = {(str(row["name"]), str(row["unit"])): row for row in found}
    engines = ("floor", "native", "portable", "rtpengine", "aiortc")
    for kind in _KINDS:
        print(f"\n  {_TITLES[kind]:<24}{'% core/call':>13}{'median':>9}{'calls/core':>12}", end="")
        print("".join(f"{unit:>10}" for unit in _UNITS[1:]))
        for engine in engines:
            cost = values.get((f"media_{kind}_{engine}", COST))
            if cost is None:
                continue
            a_core = values[f"media_{kind}_{engine}", "calls/core"]["value"]
            others = (values.get((f"media_{kind}_{engine}", unit)) for unit in _UNITS[1:])
            figures = "".join(f"{row['value']:>10.2f}" if row else f"{'':>10}" for row in others)
            print(f"  {engine:<24}{cost['value']:>13.4f}{cost['median']:>9.4f}{a_core:>12}{figures}")
    print()
    for row in found:
        if "aim" in row:
            verdict = "met" if row["met"] == "true" else "MISSED"
            print(f"  {verdict:<7} {row['aim']}: {row['value']} {row['unit']}")


def _best(unit: str, values: list[float]) -> float:
    """The figure of several rounds: others on the machine make everything slower, but memory also smaller."""
    return median(values) if unit == "kB/call" else min(values)


def _cheaper(kind: str, ours: str, theirs: str) -> Callable[[Figures], float | None]:
    """How often the cost of one is in that of another."""

    def ratio(figures: Figures) -> float | None:
        wanted = [figures.get((kind, engine, COST)) for engine in (ours, theirs)]
        if not all(wanted):
            return None
        return min(wanted[1] or ()) / min(wanted[0] or ())

    return ratio


def _worst(unit: str, *of: tuple[str, str]) -> Callable[[Figures], float | None]:
    """The largest of some figures."""

    def largest(figures: Figures) -> float | None:
        values = [figures[kind, engine, unit] for kind, engine in of if (kind, engine, unit) in figures]
        return max((_best(unit, taken) for taken in values), default=None)

    return largest


AIMS = (
    Aim(
        name="native_passthrough",
        text="native passthrough, times as many calls a core as rtpengine",
        limit=2,
        least=True,
        value=_cheaper("passthrough", "native", "rtpengine"),
    ),
    Aim(
        name="native_passthrough_floor",
        text="native passthrough, share of the floor",
        limit=0.5,
        least=True,
        value=_cheaper("passthrough", "native", "floor"),
    ),
    Aim(
        name="native_opus",
        text="native transcoding, times as many calls a core as rtpengine",
        limit=4,
        least=True,
        value=_cheaper("opus", "native", "rtpengine"),
    ),
    Aim(
        name="native_opus_floor",
        text="native transcoding, share of the floor with libopus",
        limit=0.8,
        least=True,
        value=_cheaper("opus", "native", "floor"),
    ),
    Aim(
        name="portable_passthrough",
        text="portable passthrough, times as many calls a core as rtpengine",
        limit=1,
        least=True,
        value=_cheaper("passthrough", "portable", "rtpengine"),
    ),
    Aim(
        name="delay",
        text="milliseconds that passthrough adds, p99, the slower path of ours",
        limit=1,
        least=False,
        value=_worst("p99 ms", ("passthrough", "native"), ("passthrough", "portable")),
    ),
    Aim(
        name="memory",
        text="kB a call, the larger path of ours",
        limit=150,
        least=False,
        value=_worst("kB/call", ("passthrough", "native"), ("passthrough", "portable")),
    ),
)
