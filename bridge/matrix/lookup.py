"""What a person typed on a dial pad, as a number."""

import re
import unicodedata

import phonenumbers

_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u2212]")
_INTERNATIONAL = re.compile(r"\+[0-9]{2,15}")
_SERVICE_CODE = re.compile(r"[0-9]{2,6}|(?=[0-9*#]*[*#])[0-9*#]{2,16}")


def normalise(typed: str, region: str) -> str | None:
    """A canonical number: `+` and digits (ITU-T E.164) or a short code; `None` when the text is neither.

    Numbers without a country code are read in `region`. What begins with `+` is taken at its word, even where no
    numbering plan knows it, and short codes are left alone: what exists is for the trunk to say.
    """
    # A space at the start was most likely a `+` that a client did not encode.
    text = re.sub(r"^ (?=[0-9])", "+", unicodedata.normalize("NFKC", typed[:64])).strip()
    text = re.sub(r"^tel:", "", text, flags=re.IGNORECASE)
    compact = "".join(map(_ascii_digit, _SEPARATORS.sub("", text)))
    if _SERVICE_CODE.fullmatch(compact):
        return compact
    parsed = _parse(text, region)
    if parsed is not None and phonenumbers.is_valid_number(parsed):
        return _e164(parsed)
    if _INTERNATIONAL.fullmatch(compact):
        return compact
    if parsed is not None and phonenumbers.is_possible_number(parsed):
        return _e164(parsed)
    return None


def _ascii_digit(character: str) -> str:
    return str(unicodedata.digit(character)) if character.isdigit() else character


def _parse(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
