"""Numbers as people and trunks write them, reduced to one form."""

import re

import phonenumbers

from bridge.core.ids import E164
from bridge.numbers.withholding import is_before_service_number, split_code

_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u2212]+")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{1,14}")
_SERVICE_CODE = re.compile(r"[0-9]{2,6}|(?=[0-9]*[*#])[0-9*#]{2,16}")
_MAX_TEXT = 64
"""Characters; longer text is no number."""


def canonical(text: str, region: str) -> E164 | None:
    """`+15550100` for `+1 (555) 0100` or `tel:+1-555-0100`, national forms of `region` (ISO 3166) included.

    What is written with a `+` is taken at its word, because numbering plans change faster than libraries, and service
    codes (`112`, `*97`) keep their digits: what exists is for the trunk to say. Only ASCII digits count; look-alikes of
    other scripts are refused. A code that withholds the caller's number stays before it (`withholding`), before a
    service number as it was dialled. `None` means that the text is no number.
    """
    if len(text) > _MAX_TEXT:
        return None
    # A space at the start was most likely a `+` that a client did not encode in a query string.
    text = _without_scheme(re.sub(r"^ (?=[1-9])", "+", text))
    bare = _SEPARATORS.sub("", text.replace("(0)", "") if text.startswith("+") else text)
    if not bare.isascii():
        return None
    if is_before_service_number(bare, region):
        # As it was dialled: read as a subscriber's number, nobody would know it for a call for help.
        return E164(bare)
    mark, rest = split_code(bare, region)
    number = _of_digits(rest, region) if mark else None
    return E164(mark + number) if number and number.startswith("+") else _of_digits(bare, region)


def _of_digits(bare: str, region: str) -> E164 | None:
    if _INTERNATIONAL.fullmatch(bare) or _SERVICE_CODE.fullmatch(bare):
        return E164(bare)
    return _national(bare, region)


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


def _national(bare: str, region: str) -> E164 | None:
    try:
        parsed = phonenumbers.parse(bare, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return E164(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
