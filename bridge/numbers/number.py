"""Numbers as people and trunks write them, reduced to one form."""

import re

import phonenumbers

from bridge.core.ids import E164
from bridge.numbers.region import goes_on_as_dialled
from bridge.numbers.withholding import is_before_service_number, split_code

_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u2212]+")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{1,14}")
_SERVICE_CODE = re.compile(r"[0-9]{2,6}|(?=[0-9]*[*#])[0-9*#]{2,16}")
_MOST_DIGITS = 15
"""E.164 §6."""
_MAX_TEXT = 64
"""Characters; longer text is no number."""


def canonical(text: str, region: str) -> E164 | None:
    """`+15550100` for `+1 (555) 0100` or `tel:+1-555-0100`, national forms of `region` (ISO 3166) included.

    One number has one form, by which it is judged: without the `0` of `+49 030 1234567`, which exchanges pass over.
    What is dialled at home before a number makes none behind a country code, where a trunk that drops the code would
    call elsewhere. Apart from that, what exists is for the trunk to say, because numbering plans change faster than
    libraries, and service codes (`112`, `*97`) keep their digits. A code that withholds the caller's number stays
    before it (`withholding`), before a service number as it was dialled. `None` means that the text is no number.
    """
    dialled = bare(text)
    if is_before_service_number(dialled, region):
        # As it was dialled: read as a subscriber's number, nobody would know it for a call for help.
        return E164(dialled)
    mark, rest = split_code(dialled, region)
    number = _of_digits(rest, region) if mark else None
    return E164(mark + number) if number and number.startswith("+") else _of_digits(dialled, region)


def bare(text: str) -> str:
    """What was dialled, without scheme and separators; nothing for what cannot be a number.

    Only ASCII digits count; look-alikes of other scripts are refused.
    """
    if len(text) > _MAX_TEXT:
        return ""
    # A space at the start was most likely a `+` that a client did not encode in a query string.
    text = _without_scheme(re.sub(r"^ (?=[1-9])", "+", text))
    dialled = _SEPARATORS.sub("", text.replace("(0)", "") if text.startswith("+") else text)
    return dialled if dialled.isascii() else ""


def is_beginning(prefix: str) -> bool:
    """Whether there are canonical numbers that begin with this `+` and these digits."""
    room = range(1, _MOST_DIGITS + 2 - len(prefix))
    fillings = ("", *(digit * count for count in room for digit in "0123456789"))
    return any((canonical(prefix + filling, "") or "").startswith(prefix) for filling in fillings)


def _of_digits(dialled: str, region: str) -> E164 | None:
    if _SERVICE_CODE.fullmatch(dialled):
        return E164(dialled)
    parsed = _parsed(dialled, region)
    if parsed is None or not (_INTERNATIONAL.fullmatch(dialled) or phonenumbers.is_possible_number(parsed)):
        return None
    number = _e164(parsed)
    is_one = _INTERNATIONAL.fullmatch(number) and not goes_on_as_dialled(parsed)
    return E164(number) if is_one and (number == dialled or _is_settled(number)) else None


def _is_settled(number: str) -> bool:
    """Whether nothing more is left out when it is read again."""
    again = _parsed(number, "")
    return again is not None and _e164(again) == number


def _without_scheme(text: str) -> str:
    """The number in a `tel:` address (RFC 3966), or in a `sip:` address that has one with a `+`; nothing in others.

    Without a `+` the user of a `sip:` address belongs to its host, which is no business of ours (RFC 3261 §19.1.6).
    """
    scheme, colon, rest = text.partition(":")
    match (scheme.lower() if colon else "", rest.partition(";")):
        case "tel", (number, _, params):
            context = next((param[14:] for param in params.split(";") if param.startswith("phone-context=+")), "")
            return number if number.startswith("+") or not number else context + number
        case (("sip" | "sips"), _):
            user = rest.partition("@")[0].partition(";")[0]
            return user if user.startswith("+") else ""
        case _:
            return "" if colon and scheme.isalpha() else text


def _parsed(dialled: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(dialled, region or None)
    except phonenumbers.NumberParseException:
        return None


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
