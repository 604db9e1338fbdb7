"""How numbers are written in one country, as far as a trunk's number format depends on it."""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

_DEFAULT_INTERNATIONAL_PREFIX = "00"
"""ITU-T E.164 recommends it; countries with one for each carrier have no other answer."""
_CARRIER_CODES = {"DE": "010"}
"""Behind these the rest is dialled at another carrier, international prefix and all."""
_NANP = 1
"""The country code of North America, where no area code begins with 0 or 1: 011 dials abroad, 00 and 01 an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """Prefixes of a country."""

    country_code: str
    national_prefix: str
    """Before a number that is written without its country code: `0` in Germany, nothing in the USA."""
    international_prefix: str
    abroad: str
    """A pattern of all that a number begins with which does not stay in the country."""


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
        abroad=_abroad(region),
    )


def goes_on_as_dialled(number: phonenumbers.PhoneNumber) -> bool:
    """Whether behind a country code there is what is dialled at home before a number, and not the number itself.

    A trunk that is given the national part of `+1 011 881...` would call a satellite. Where numbers begin with what is
    dialled before them, as in Russia with 8, those are numbers themselves that are known to exist.
    """
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return False
    national = phonenumbers.national_significant_number(number)
    if re.match(_abroad(region), national):
        return True
    trunk_prefix, at_home = metadata.national_prefix, _national_prefix(region) + national
    begins_so = bool(trunk_prefix and national.startswith(trunk_prefix)) or re.match(_abroad(region), at_home)
    return bool(begins_so) and not phonenumbers.is_valid_number(number)


def national_form(number: str, region: str) -> str:
    """A number of the region, written with `+` and country code, as it is dialled there; nothing for others."""
    code = f"+{phonenumbers.country_code_for_region(region)}"
    return _national_prefix(region) + number.removeprefix(code) if number.startswith(code) else ""


@lru_cache(maxsize=256)
def _national_prefix(region: str) -> str:
    """Read off an example, since where a prefix exists it is not always written."""
    example = phonenumbers.example_number(region)
    if example is None:
        return ""
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = "".join(character for character in written if character.isdigit())
    return digits.removesuffix(phonenumbers.national_significant_number(example))


@lru_cache(maxsize=256)
def _abroad(region: str) -> str:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return _DEFAULT_INTERNATIONAL_PREFIX
    if metadata.country_code == _NANP:
        return "[01]"
    patterns = (_DEFAULT_INTERNATIONAL_PREFIX, metadata.international_prefix, _CARRIER_CODES.get(region))
    return "|".join(pattern for pattern in patterns if pattern)


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
