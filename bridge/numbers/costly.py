"""Numbers that cost far more than a call: they pay whoever is called, or go by satellite.

Fraud lives on them, so a prefix that merely contains them does not permit them.
"""

import re
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
_DIRECTORY = re.compile(r"118[0-9]{1,3}")
"""Directory enquiries in half of Europe, at prices of their own: who answers puts calls through as well."""
_CHEAP = frozenset({phonenumbers.ShortNumberCost.TOLL_FREE, phonenumbers.ShortNumberCost.STANDARD_RATE})
_NANP = "+1"
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
    if short := _short_service(number):
        return short
    for reading in (*shorter, *longer):
        parsed = _parsed(reading)
        if parsed is not None and phonenumbers.is_valid_number(parsed):
            return _TYPES.get(phonenumbers.number_type(parsed))
    return None


def _short_service(number: E164) -> str | None:
    """What a short number of a country costs that is written behind its code, unless it is a subscriber's there."""
    parsed = _parsed(number)
    if parsed is None or phonenumbers.is_valid_number(parsed):
        return None
    cost = phonenumbers.expected_cost(parsed)
    if cost == phonenumbers.ShortNumberCost.PREMIUM_RATE:
        return "premium rate"
    is_directory = _DIRECTORY.fullmatch(phonenumbers.national_significant_number(parsed)) is not None
    is_known = is_directory and phonenumbers.is_valid_short_number(parsed)
    return "directory enquiries" if is_known and cost not in _CHEAP else None


def _island(number: E164, home: str) -> str | None:
    """By the area code, for exchanges pass over what is dialled beyond a whole number."""
    national = number.removeprefix(_NANP)
    region = next((region for region, codes in _islands().items() if re.match(codes, national)), home)
    return None if region == home else f"a country of its own within {_NANP}"


@lru_cache(maxsize=1)
def _islands() -> dict[str, str]:
    """Their area codes, as patterns; the USA and Canada have so many that none are listed."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(_NANP)]
    listed = ((region, phonenumbers.PhoneMetadata.metadata_for_region(region)) for region in regions)
    return {region: metadata.leading_digits for region, metadata in listed if metadata and metadata.leading_digits}


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
