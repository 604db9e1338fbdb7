"""The figures of `quality` as rows, as tables, and held against what is aimed at."""

from dataclasses import dataclass

import numpy as np

from tests.bench.media_report import Row
from tests.media.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one side heard of a call."""

    outcome: Outcome
    mos: float | None


class Figures(dict[tuple[str, str, str], Measured]):
    """By who heard it, the network, and the engine with the client's codec."""


_SIDES = {"phone": "What the phone hears of the client", "client": "What the client hears of the phone"}
_PEERS = ("rtpengine", "aiortc")
_OURS = ("native opus", "portable opus")
_LEAST_MOS = {0.01: 3.8, 0.05: 3.3, 0.1: 2.8}
_MOST_DISCARDED = {0.01: 0.01, 0.05: 0.01, 0.1: 0.01, 0.3: 0.03}
_NAMES, _WIDTH = 56, 23


def rows(figures: Figures) -> list[Row]:
    """One for each figure, then one for each aim."""
    found: list[Row] = []
    for (side, network, setup), measured in figures.items():
        outcome, engine = measured.outcome, setup.partition(" ")[0]
        values = {
            "% heard": 100 * outcome.heard,
            "% made up": 100 * outcome.made_up,
            "% silent": 100 * outcome.silent,
            **({"% discarded": 100 * outcome.discarded} if outcome.discarded is not None else {}),
            **({"ms p50": 1000 * float(np.median(outcome.delays))} if outcome.delays else {}),
            **({"ms p95": 1000 * float(np.quantile(outcome.delays, 0.95))} if outcome.delays else {}),
            **({"MOS-LQO": measured.mos} if measured.mos is not None else {}),
        }
        peer: Row = {"peer": engine} if engine in _PEERS else {}
        name = f"quality_{side}: {network}: {setup}"
        found += [{"name": name, "value": round(value, 2), "unit": unit, **peer} for unit, value in values.items()]
    return found + list(_aims(figures))


def _aims(figures: Figures) -> list[Row]:
    """What speech through codecs should sound like, and how much of what was delivered should be heard."""
    found: list[Row] = []
    for setup in _OURS:
        for loss, least in _LEAST_MOS.items():
            for side in _SIDES:
                measured = figures.get((side, f"{loss:.0%} lost", setup))
                if measured is not None and measured.mos is not None:
                    aim = f"{setup}, {loss:.0%} lost, MOS-LQO of what the {side} hears"
                    found.append(_judged(aim, measured.mos, least, met=measured.mos >= least, word="at least"))
        for loss, most in _MOST_DISCARDED.items():
            for network in (f"{loss:.0%} lost", f"{loss:.0%} lost, in bursts of 5"):
                measured = figures.get(("phone", network, setup))
                value = measured.outcome.discarded if measured is not None else None
                if value is not None:
                    aim = f"{setup}, {network}, % of what came thrown away"
                    found.append(_judged(aim, 100 * value, 100 * most, met=value <= most, word="at most"))
    return found


def _judged(aim: str, value: float, limit: float, *, met: bool, word: str) -> Row:
    row: Row = {"name": f"quality_aim: {aim}", "value": round(value, 2), "unit": f"({word} {limit:g})"}
    return row | {"aim": aim, "met": str(met).lower()}


def show(found: list[Row]) -> None:
    """Print a table for what each side hears, then the aims."""
    cells: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in found:
        side, _, rest = str(row["name"]).removeprefix("quality_").partition(": ")
        network, _, setup = rest.rpartition(": ")
        if side in _SIDES:
            cells.setdefault((side, network, setup), {})[str(row["unit"])] = float(row["value"])
    networks = list(dict.fromkeys(network for _, network, _ in cells))
    setups = list(dict.fromkeys(setup for _, _, setup in cells))
    for side, title in _SIDES.items():
        thrown_away = "% thrown away of what came, " if side == "phone" else ""
        print(f"\n  {title}: MOS-LQO, % heard/made up/silent, {thrown_away}usual delay in ms")
        print(f"  {'':<{_NAMES}}" + "".join(f"{setup:<{_WIDTH}}" for setup in setups))
        for network in networks:
            line = (_cell(cells.get((side, network, setup), {})) for setup in setups)
            print(f"  {network:<{_NAMES}}" + "".join(f"{cell:<{_WIDTH}}" for cell in line))
    print()
    for row in found:
        if "aim" in row:
            print(f"  {'met' if row['met'] == 'true' else 'MISSED':<7} {row['aim']}: {row['value']} {row['unit']}")


def _cell(values: dict[str, float]) -> str:
    if not values:
        return ""
    mos = f"{values['MOS-LQO']:.2f}" if "MOS-LQO" in values else "-"
    shares = "/".join(f"{values[unit]:.0f}" for unit in ("% heard", "% made up", "% silent"))
    discarded = f"{values['% discarded']:.1f} " if "% discarded" in values else ""
    return f"{mos} {shares} {discarded}{values.get('ms p50', 0):.0f}"
