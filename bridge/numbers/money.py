"""Prices in millionths of whatever currency the trunks charge in: whole numbers, so that sums are exact."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from bridge.numbers.permission import longest

MICRO = 1_000_000
_PRICE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?\Z")


def parse_price(text: str) -> int:
    """`0.0125` as 12,500 millionths. Raises `ValueError`."""
    if not _PRICE.match(text):
        raise ValueError(f"expected an amount such as '0.0125', found '{text}'")
    return int(Decimal(text) * MICRO)


def shown(amount: int) -> str:
    """12,500 millionths as `0.0125`; two decimals at least."""
    whole, part = divmod(amount, MICRO)
    decimals = f"{part:06}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a trunk charges."""

    per_minute: Mapping[str, int]
    """By the beginning of the number, the longest that fits."""
    step_s: int = 60
    """What is charged for at a time: each step that has begun is paid in full."""

    def rate(self, number: str) -> int | None:
        """A minute's price; `None` when the trunk has no price for this number."""
        prefix = longest(tuple(self.per_minute), number)
        return self.per_minute[prefix] if prefix else None

    def cost(self, rate: int, seconds: float) -> int:
        """The price of a call of so many seconds, the step that has begun included."""
        steps = int(seconds // self.step_s) + 1
        return -(-rate * self.step_s * steps // 60)
