"""Numbers as people and trunks write them, reduced to one form."""

import re

import phonenumbers

from bridge.core.ids import E164

_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{1,14}\Z")
_SHORT_CODE = re.compile(r"[0-9*#]{2,6}\Z")
_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]+")
MAX_INPUT = 64
"""Characters; longer input is no number."""


def canonical(text: str, region: str) -> E164 | None:
    """`+15550100` for `+1 (555) 0100`, `tel:`-less national forms of `region` (ISO 3166) included; `None` if no number.

    What is written with a `+` is taken as it stands, because numbering plans change faster than libraries. Short codes
    (`112`, `*97`) keep their digits. Only ASCII digits count: look-alikes from other scripts are refused.
    """
    if len(text) > MAX_INPUT:
        return None
    bare = _SEPARATORS.sub("", text.replace("(0)", "") if text.startswith("+") else text)
    if not bare.isascii():
        return None
    if _INTERNATIONAL.match(bare):
        return E164(bare)
    if _SHORT_CODE.match(bare):
        return E164(bare)
    return _national(bare, region)


def _national(bare: str, region: str) -> E164 | None:
    try:
        parsed = phonenumbers.parse(bare, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return E164(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
