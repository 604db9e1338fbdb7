"""How long the worst input that we can think of keeps us busy: 64 kB of each atom of the grammar, everywhere."""

from tests.fuzz import _attacks

Row = dict[str, str | float]

_SUSPICIOUS_S = 0.005
_KINDS = {
    "expression": _attacks.on_expressions,
    "function": _attacks.on_functions,
    "message": _attacks.on_headers,
    "body": _attacks.on_bodies,
}


def run() -> list[Row]:
    """One row for each kind of attack: the slowest."""
    rows: list[Row] = []
    for kind, attacks in _KINDS.items():
        took, what = _attacks.slowest(attacks(), suspicious_s=_SUSPICIOUS_S)
        rows.append({"name": f"slowest_{kind}", "value": round(took * 1e3, 2), "unit": "ms", "input": what})
    return rows
