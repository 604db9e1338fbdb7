"""Prices in millionths of whatever currency the trunks charge in: whole numbers, so that sums are exact."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from bridge.core.ids import TrunkName
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

    def price(self, trunk: TrunkName, number: str) -> "Price | None":
        """What a call to the number costs over the trunk whose tariff this is."""
        rate = self.rate(number)
        return None if rate is None else Price(trunk=trunk, per_minute=rate, step_s=self.step_s)


class Pricing(Protocol):
    """What a call costs."""

    def until(self, seconds: float) -> int:
        """The price of a call that is over by then."""
        ...

    def seconds_for(self, amount: int) -> float:
        """How long a call can be for an amount."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a trunk charges for a number: so much for each step that has begun, in millionths."""

    trunk: TrunkName
    per_minute: int = 0
    step_s: int = 60

    def until(self, seconds: float) -> int:
        """The price of a call that is over by then."""
        steps = -int(-seconds // self.step_s)
        return -(-self.per_minute * self.step_s * steps // 60)

    def seconds_for(self, amount: int) -> float:
        """How long a call can be for an amount."""
        if not self.per_minute:
            return float("inf")
        return float(amount * 60 // (self.per_minute * self.step_s) * self.step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dearest:
    """The most that a call over any of several trunks can cost: which of them that is depends on its length."""

    prices: tuple[Price, ...]

    def until(self, seconds: float) -> int:
        """The price of a call that is over by then."""
        return max((price.until(seconds) for price in self.prices), default=0)

    def seconds_for(self, amount: int) -> float:
        """How long a call can be for an amount."""
        return min((price.seconds_for(amount) for price in self.prices), default=float("inf"))
