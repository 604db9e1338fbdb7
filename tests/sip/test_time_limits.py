"""No input of 64 kB keeps a regular expression or a parser busy: `make bench` has the exact figures."""

from collections.abc import Callable, Iterator

import pytest

from tests.fuzz import _attacks

LIMIT_S = 0.2
"""Ten times what is aimed at, for machines that are slow or busy; what backtracks takes seconds."""
SUSPICIOUS_S = 0.02
PARTS = 3
"""A run tries one atom in three, and the versions of a pattern that backtracks fall to many."""


@pytest.mark.parametrize(
    "attacks", [_attacks.on_expressions, _attacks.on_functions, _attacks.on_headers, _attacks.on_bodies]
)
def test_nothing_takes_long_whatever_is_repeated(
    attacks: Callable[[tuple[str, ...]], Iterator[_attacks.Attack]],
) -> None:
    took, what = _attacks.slowest(attacks(_attacks.ATOMS[::PARTS]), suspicious_s=SUSPICIOUS_S)
    assert took < LIMIT_S, what
    assert what
