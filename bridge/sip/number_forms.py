"""Telephone numbers as a trunk writes them, and as we have them: E.164 with a plus.

What is no telephone number (an extension's name, a short code) passes unchanged in both directions.
"""

import re

from bridge.sip.grammar import printable
from bridge.sip.settings import DialRules, NumberFormat, Trunk
from bridge.sip.uri import SipUri, TelUri, Uri

_SEPARATED = re.compile(r"[+0-9(][0-9 ().\-/*#]*")
"""A number with visual separators (RFC 3966 §5.1.1), and the blank and the slash that people put there."""

_NO_SEPARATORS = str.maketrans("", "", " ().-/")
MAX_PARAMS = 32
_MAX_DIGITS = 15
"""E.164 §6."""
_MIN_DIGITS = 8
"""Shorter ones are extensions and short codes, not numbers with a country code."""
_MIN_NATIONAL = 6
_NANP = "1"
_NANP_DIGITS = 10


def written(number: str, trunk: Trunk) -> str:
    """A number of ours in the trunk's format.

    It stays E.164 where its national form would be another number: one that begins as those of other countries do.
    """
    if not is_global(number):
        return number
    rules, digits = trunk.dial_rules, number[1:]
    match trunk.number_format:
        case NumberFormat.E164:
            return number
        case NumberFormat.DIGITS:
            return digits
        case NumberFormat.NATIONAL if rules.country_code and digits.startswith(rules.country_code):
            at_home = rules.national_prefix + digits.removeprefix(rules.country_code)
            return number if re.match(rules.abroad, at_home) else at_home
        case NumberFormat.NATIONAL | NumberFormat.INTERNATIONAL:
            return rules.international_prefix + digits


def written_called(number: str, trunk: Trunk) -> str:
    """A number that we call, behind the trunk's prefix."""
    return trunk.number_prefix + written(number, trunk)


def read(text: str, trunk: Trunk) -> str:
    """A number of the trunk's as we have it; one that its format does not explain stays as it is."""
    if not _SEPARATED.fullmatch(text):
        return text
    # The zero in brackets is dialled at home and never behind a country code.
    bare = (text.replace("(0)", "") if text[0] == "+" else text).translate(_NO_SEPARATORS)
    if not bare.isdigit() or len(bare) > _MAX_DIGITS + 4:
        return bare
    return _from_abroad(bare, trunk.dial_rules) or _as_formatted(bare, trunk) or bare


def read_called(text: str, trunk: Trunk) -> str:
    """A number that the trunk calls; some give the prefix back."""
    return read(text.removeprefix(trunk.number_prefix), trunk)


def user_of(uri: Uri, trunk: Trunk) -> str:
    """The number or name in a URI, as we have it."""
    return read(user_part(uri, trunk.dial_rules), trunk)


def user_part(uri: Uri, rules: DialRules) -> str:
    """The number or name in a URI as the peer wrote it, without parameters (RFC 3261 §19.1.6, RFC 3966 §5).

    Parameters of a number in the user part (`;isub`, `;npdi`, `;tgrp`, `;verstat`) do not belong to the number.
    """
    match uri:
        case SipUri(user=user):
            number = printable((user or "").partition(";")[0])
            return _in_context(number, number_params(uri).get("phone-context") or "", rules)
        case TelUri(number=number, params=params):
            return _in_context(number, params.get("phone-context") or "", rules)
        case _:
            return ""


def number_params(uri: Uri) -> dict[str, str]:
    """Parameters that stand in the user part, with the number (RFC 3261 §19.1.6)."""
    user = uri.user if isinstance(uri, SipUri) else None
    pairs = (param.partition("=") for param in (user or "").split(";", MAX_PARAMS)[1:])
    return {name.lower(): value for name, _, value in pairs}


def is_global(number: str) -> bool:
    """Whether this is E.164 with a plus."""
    return number[:1] == "+" and number[1:].isdigit() and number.isascii()


def is_telephone(user: str) -> bool:
    """Whether a user part is a number, and not a name."""
    return bool(user) and user.isascii() and not user.strip("+0123456789*#")


def _from_abroad(digits: str, rules: DialRules) -> str | None:
    prefix = rules.international_prefix
    number = digits.removeprefix(prefix)
    is_one = prefix and number != digits and _MIN_DIGITS - 1 <= len(number) <= _MAX_DIGITS and number[0] != "0"
    return f"+{number}" if is_one else None


def _as_formatted(digits: str, trunk: Trunk) -> str | None:
    rules = trunk.dial_rules
    if rules.country_code == _NANP and len(digits) == _NANP_DIGITS and digits[0] not in "01":
        return f"+{_NANP}{digits}"
    is_whole = _MIN_DIGITS <= len(digits) <= _MAX_DIGITS and digits[0] != "0"
    if trunk.number_format is NumberFormat.DIGITS and is_whole:
        return f"+{digits}"
    return _national(digits, rules)


def _national(digits: str, rules: DialRules) -> str | None:
    number = digits.removeprefix(rules.national_prefix)
    is_one = number != digits and rules.country_code and _MIN_NATIONAL <= len(number) <= _MAX_DIGITS
    return f"+{rules.country_code}{number}" if is_one else None


def _in_context(number: str, context: str, rules: DialRules) -> str:
    """A local number where its context is the beginning of a global one (RFC 3966 §5.1.5)."""
    context = context.translate(_NO_SEPARATORS)
    bare = number.translate(_NO_SEPARATORS)
    if not is_global(context) or not bare.isdigit() or not bare.isascii():
        return number
    if rules.national_prefix and context == f"+{rules.country_code}":
        bare = bare.removeprefix(rules.national_prefix)
    whole = context + bare
    return whole if len(whole) <= _MAX_DIGITS + 1 else number
