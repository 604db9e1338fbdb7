"""Which trunks carry a call, and in which order they are tried."""

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.ids import TrunkName
from bridge.numbers.permission import longest

Spin = Callable[[int], int]
"""A wheel of fortune: some whole number from 0 up to, and without, the one that is given."""

UNKNOWN_PRICE = 1 << 62
"""Sorts behind every price."""


class Choose(enum.StrEnum):
    """How a rule puts its trunks in order."""

    ORDER = "order"
    """As they are listed."""
    COST = "cost"
    """The cheapest for the number first."""
    WEIGHT = "weight"
    """Another one first each time, in proportion to the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRule:
    """Numbers that begin in one of some ways, or that a pattern describes, and the trunks for them."""

    prefixes: tuple[str, ...] = ()
    pattern: str = ""
    """A regular expression for the whole number, instead of prefixes."""
    trunks: tuple[TrunkName, ...]
    choose: Choose = Choose.ORDER
    weights: Mapping[TrunkName, int] = field(default_factory=dict)
    """A trunk without one has 1; with 0 it is a reserve behind the others."""

    def covers(self, number: str) -> bool:
        """Whether the rule is for this number."""
        if self.pattern:
            return re.fullmatch(self.pattern, number) is not None
        return bool(longest(self.prefixes, number))

    def in_order(self, price_of: Callable[[TrunkName], int | None], spin: Spin) -> Sequence[TrunkName]:
        """The rule's trunks, the first to try first."""
        match self.choose:
            case Choose.ORDER:
                return self.trunks
            case Choose.COST:
                return sorted(self.trunks, key=lambda trunk: _sortable(price_of(trunk)))
            case Choose.WEIGHT:
                return self._drawn(spin)

    def weight_of(self, trunk: TrunkName) -> int:
        """How often a trunk comes first, in proportion to the others."""
        return self.weights.get(trunk, 1)

    def _drawn(self, spin: Spin) -> list[TrunkName]:
        """One after the other, each with the chance that its weight gives it among those that are left (RFC 2782)."""
        left, drawn = list(self.trunks), list[TrunkName]()
        while left:
            total = sum(map(self.weight_of, left))
            at = spin(total) if total else 0
            chosen = next(trunk for trunk in left if (at := at - self.weight_of(trunk)) < 0 or not total)
            left.remove(chosen)
            drawn.append(chosen)
        return drawn


def _sortable(price: int | None) -> int:
    return UNKNOWN_PRICE if price is None else price
