"""Numbers that cost far more than a call: they pay whoever is called, or go by satellite.

Fraud lives on them, so a prefix that merely contains them does not permit them.
"""

from functools import lru_cache

import phonenumbers

from bridge.core.ids import E164

RANGES: dict[str, str] = {
    "+808": "shared cost, international",
    "+870": "satellite (Inmarsat)",
    "+878": "personal numbers, international",
    "+881": "satellite",
    "+882": "international networks, satellite",
    "+883": "international networks",
    "+979": "premium rate, international",
}
"""Codes of no country (ITU-T E.164.1), whose prices no country oversees."""

_TYPES: dict[int, str] = {
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium rate",
    phonenumbers.PhoneNumberType.SHARED_COST: "shared cost",
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: "personal number",
}
_NANP = "+1"
_NANP_MAINLAND = frozenset({"US", "CA"})
_MIN_DIGITS = 7
_MISSING_DIGITS = 3


@lru_cache(maxsize=4096)
def why_costly(number: E164, permitted_by: str, home: str) -> str | None:
    """What makes a number costly, unless the prefix that permits it names its range; `None` for an ordinary one.

    `home` is the region (ISO 3166) of whoever wrote that: `+1` stands for the USA and Canada and not for the islands
    that share the code, except at home there.
    """
    named = next((range_ for range_ in RANGES if number.startswith(range_)), "")
    if named:
        return None if permitted_by.startswith(named) else RANGES[named]
    if not number.startswith("+"):
        return None
    return _kind(number) or (_island(number, home) if permitted_by == _NANP else None)


def _kind(number: E164) -> str | None:
    """The type that a country's numbering plan gives to it, or to what it becomes with fewer or more digits.

    Exchanges ignore surplus digits, so a premium number with one digit more is still one; and a range that a country
    has made shorter since is still the range.
    """
    shorter = (number[:end] for end in range(len(number), _MIN_DIGITS, -1))
    longer = (number + "0" * digits for digits in range(1, _MISSING_DIGITS + 1))
    for reading in (*shorter, *longer):
        parsed = _parsed(reading)
        if parsed is not None and phonenumbers.is_valid_number(parsed):
            return _TYPES.get(phonenumbers.number_type(parsed))
    return None


def _island(number: E164, home: str) -> str | None:
    parsed = _parsed(number) if number.startswith(_NANP) else None
    region = phonenumbers.region_code_for_number(parsed) if parsed is not None else None
    if region is None or region in _NANP_MAINLAND or region == home:
        return None
    return f"a country of its own within {_NANP}"


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
