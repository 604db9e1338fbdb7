"""How numbers are written in one country, as far as a trunk's number format depends on it."""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

_DEFAULT_INTERNATIONAL_PREFIX = "00"
"""ITU-T E.164 recommends it; countries with one for each carrier have no other answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """Prefixes of a country."""

    country_code: str
    national_prefix: str
    """Before a number that is written without its country code: `0` in Germany, nothing in the USA."""
    international_prefix: str


def region_plan(region: str) -> RegionPlan:
    """The prefixes of a region (ISO 3166)."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        raise ValueError(f"no numbering plan of {region} is known")
    dialled = [metadata.preferred_international_prefix, metadata.international_prefix]
    return RegionPlan(
        country_code=str(metadata.country_code),
        national_prefix=_national_prefix(region),
        international_prefix=next((p for p in dialled if p and p.isdigit()), _DEFAULT_INTERNATIONAL_PREFIX),
    )


def national_form(number: str, region: str) -> str:
    """A number of the region, written with `+` and country code, as it is dialled there; nothing for others."""
    code = f"+{phonenumbers.country_code_for_region(region)}"
    return _national_prefix(region) + number.removeprefix(code) if number.startswith(code) else ""


@lru_cache(maxsize=64)
def _national_prefix(region: str) -> str:
    """Read off an example, since where a prefix exists it is not always written."""
    example = phonenumbers.example_number(region)
    if example is None:
        return ""
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = "".join(character for character in written if character.isdigit())
    return digits.removesuffix(phonenumbers.national_significant_number(example))


@lru_cache(maxsize=64)
def emergency_numbers(region: str) -> frozenset[str]:
    """The numbers that call for help in a region (ISO 3166)."""
    metadata = phonenumbers.PhoneMetadata.short_metadata_for_region(region)
    described = metadata.emergency if metadata is not None else None
    if described is None or not described.national_number_pattern:
        return frozenset()
    pattern = re.compile(described.national_number_pattern)
    lengths = [length for length in described.possible_length if length > 0]
    candidates = (f"{value:0{length}}" for length in lengths for value in range(10**length))
    return frozenset(number for number in candidates if pattern.fullmatch(number))
