"""Codes before a number with which this one call shows the caller's number, or does not: those of the caller's country.

North America has *67 and *82, mobile networks #31# and *31# (3GPP TS 22.081, temporary mode). Some fixed networks use
*31# the other way round: there it hides the number, for who dials it to be hidden must not be shown.
"""

import re
from collections.abc import Collection, Mapping

import phonenumbers

from bridge.core.ids import E164

HIDE, SHOW = "#31#", "*82"
"""How both are written once they are read, whatever the country: before a number with its `+`."""

_NORTH_AMERICA = {"*67": HIDE, "*82": SHOW}
_MOBILE = {"#31#": HIDE, "*31#": SHOW}
_FIXED: Mapping[str, Mapping[str, str]] = {
    "AT": {"*31*": HIDE, "*31#": HIDE},
    "AU": {"1831": HIDE, "1832": SHOW},
    "CH": {"*31#": HIDE},
    "DE": {"*31#": HIDE},
    "ES": {"067": HIDE},
    "FR": {"3651": HIDE},
    "GB": {"141": HIDE, "1470": SHOW},
    "IE": {"141": HIDE, "142": SHOW},
    "IT": {"*67#": HIDE},
    "JP": {"184": HIDE, "186": SHOW},
    "NL": {"*31*": HIDE},
    "NZ": {"0197": HIDE, "0196": SHOW},
}
_SERVICE_NUMBER = re.compile(r"[0-9]{2,3}")
_READ = re.compile(rf"({re.escape(HIDE)}|{re.escape(SHOW)})(?=\+)")


def split_mark(number: str) -> tuple[str, E164]:
    """What stands before a number that has been read: `HIDE`, `SHOW` or nothing; and the number."""
    match = _READ.match(number)
    return (match[1], E164(number[match.end() :])) if match else ("", E164(number))


def split_code(dialled: str, region: str, short: Collection[str] = ()) -> tuple[str, str]:
    """The same of what somebody in a region (ISO 3166) has dialled, without separators, and the rest of it.

    `short` are numbers that are known to be some although no subscriber's number begins like them.
    """
    if match := _READ.match(dialled):
        return match[1], dialled[match.end() :]
    codes = codes_of(region)
    code = _code_before(dialled, codes)
    rest = dialled[len(code) :]
    if not code or (code.isdigit() and not rest.startswith(("0", "+")) and rest not in short):
        # Of plain digits, only what goes on as a number is known to be a code before one.
        return "", dialled
    return codes[code], rest


def is_before_service_number(dialled: str, region: str) -> bool:
    """Whether this is a code and then a number of two or three digits, as those that call for help: no subscriber's."""
    code = _code_before(dialled, codes_of(region))
    return bool(code) and _SERVICE_NUMBER.fullmatch(dialled, len(code)) is not None


def is_withheld(mark: str) -> bool | None:
    """Whether the called party is shown no number; `None` leaves it to what is set."""
    return {HIDE: True, SHOW: False}.get(mark)


def codes_of(region: str) -> Mapping[str, str]:
    """All codes of a region (ISO 3166), and what each means."""
    is_north_american = phonenumbers.country_code_for_region(region) == 1
    return _MOBILE | (_NORTH_AMERICA if is_north_american else {}) | dict(_FIXED.get(region, {}))


def _code_before(dialled: str, codes: Collection[str]) -> str:
    return max((code for code in codes if dialled.startswith(code)), key=len, default="")
