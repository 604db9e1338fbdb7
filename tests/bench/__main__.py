"""Run every benchmark, print what was measured, and write `.bench/<benchmark>.json`, one object a line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    call_setup,
    flood,
    media,
    media_report,
    quality,
    quality_report,
    sip_attacks,
    sip_load,
    sip_parse,
)

Row = dict[str, str | float]

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "sip_parse": sip_parse.run,
    "sip_load": sip_load.run,
    "sip_attacks": sip_attacks.run,
    "call_setup": call_setup.run,
    "flood": flood.run,
    "media": media.run,
    "quality": quality.run,
}
SHOWN: dict[str, Callable[[list[Row]], None]] = {"media": media_report.show, "quality": quality_report.show}
"""How a benchmark's rows are printed, where a line for each would be no help."""
_RESULTS = Path(".bench")


def main(wanted: list[str]) -> int:
    """Run those that are named, or all."""
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    _RESULTS.mkdir(exist_ok=True)
    for name in wanted or BENCHMARKS:
        print(f"{name}:", flush=True)
        rows = BENCHMARKS[name]()
        SHOWN.get(name, _show)(rows)
        lines = (json.dumps(row) for row in rows)
        (_RESULTS / f"{name}.json").write_text("".join(f"{line}\n" for line in lines))
    return 0


def _show(rows: list[Row]) -> None:
    for row in rows:
        print(f"  {_described(row)}")


def _described(row: Row) -> str:
    """A figure as a line; a peer's says how ours compares."""
    line = f"{row['name']:<28} {row.get('peer', 'ours'):<12} {row['value']:>12} {row['unit']:<5}"
    median = f" median {row['median']}" if "median" in row else ""
    return f"{line}{median}" + (f"  ours: {row['ratio']} of it" if "ratio" in row else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
