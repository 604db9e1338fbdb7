"""Log lines without the people in them, where no type could do it: exceptions, libraries' messages, others' words.

Code wraps what identifies people in :class:`~bridge.core.pii.Pii`. This is the net below: whatever a line carries
passes here once, before it is rendered. What looks like a person's is redacted, and now and then something else as
well. A few digits and bare names look like everything else: for those there is only `Pii`.
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable, Mapping

from structlog.typing import EventDict, WrappedLogger

from bridge.core.pii import Pii

_OPAQUE = frozenset({"call_id", "room_id", "event_id", "txn_id"})
"""Identifiers that lead from a line to other lines, records and events. Random, but with runs of digits in them."""
_OWN = frozenset({"time", "level", "logger", "trunk", "version", "host"})
"""What the operator or we have chosen. `host` is where we listen; an address of anybody else goes by another name."""
_OF_STRUCTLOG = frozenset({"_record", "_from_structlog"})
_UNTOUCHED = _OPAQUE | _OWN | _OF_STRUCTLOG

_MAX_DEPTH = 4
_MAX_ITEMS = 50
_MAX_TEXT = 16_384
_CUT = "…"

_USER_ID = r"@[^\s@:'\"]{1,255}:(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})"
_URI = r"(?<![A-Za-z])(?i:sips?|tel):[^\s<>\"',;]{1,255}"
_ENCODED = r"%(?:40|2[Bb]|3[Aa])[A-Za-z0-9._~%+=-]{1,255}"
"""A user id or a number inside a URL: from its `@`, `+` or `:`."""
_WITH_PLUS = r"\+(?:[0-9]{7,32}|[0-9][0-9 ().\-/\xa0\u2010-\u2015]{3,30}[0-9])"
_DIGITS = r"(?<![0-9A-Za-z.])(?<!\[redacted#)[0-9]{7,20}(?![0-9])"
"""As trunks write numbers without `+`, and people in a national form; fractions and hashes are none."""
_IPV6 = r"(?<![0-9A-Za-z])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{0,41}"
"""What may be one: times of day are not, which `ipaddress` knows better than a pattern."""
_IPV4 = r"(?<![0-9])[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9])"
_KEY = r"(?i:inline):[A-Za-z0-9+/=]{1,255}"
"""Of encrypted audio, in a description (RFC 4568): whoever has it hears the call."""
_WITHOUT_COLONS = rf"(?P<plus>{_WITH_PLUS})|{_IPV4}|{_DIGITS}"

_EMPTY = re.compile(r"[^0-9@:]*\Z")
"""Nothing that identifies anybody comes without one of these; most values do."""
_PERSONAL = re.compile(rf"{_KEY}|(?P<ipv6>{_IPV6})|{_USER_ID}|{_URI}|{_ENCODED}|{_WITHOUT_COLONS}")
_IN_CALL_ID = re.compile(rf"(?P<ipv6>{_IPV6})|(?P<plus>{_WITH_PLUS})|{_IPV4}")
_NUMBER_ALONE = re.compile(r"\+?[0-9]{7,20}")
_FLAT = re.compile(_WITHOUT_COLONS)
_ADDRESS_OF_RECORD = re.compile(r"[A-Za-z0-9._%+!~*-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,254}")


def scrub(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The processor: every value of a line, nested ones included, down to a depth and up to a length."""
    return {key: _member(key, value, _MAX_DEPTH) for key, value in event.items()}


def without_people(text: str) -> str:
    """`text` with numbers, user ids, SIP addresses and IP addresses as keyed hashes."""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + _CUT
    if _EMPTY.match(text):
        return text
    text = _PERSONAL.sub(_redacted, text)
    return _ADDRESS_OF_RECORD.sub(_redacted, text) if "@" in text else text


def without_host(sip_call_id: str) -> str:
    """A Call-ID by which a trunk's operator finds the call, without the address of the machine that made it.

    RFC 3261 §8.1.1.4 recommends a random part and `@host`. The random part stays, addresses and numbers in it do not.
    """
    unique, at, host = sip_call_id.partition("@")
    unique = without_number(_IN_CALL_ID.sub(_redacted, unique))
    return f"{unique}@{Pii(host)}" if at else unique


def without_number(call_id: str) -> str:
    """An id as its client made it, unless it is nothing but a number."""
    return str(Pii(call_id)) if _NUMBER_ALONE.fullmatch(call_id) else call_id


def _member(key: object, value: object, depth: int) -> object:
    if key in _UNTOUCHED:
        return value
    if key == "sip_call_id" and isinstance(value, str):
        return without_host(value)
    if key == "matrix_call_id" and isinstance(value, str):
        return without_number(value)
    return _clean(value, depth)


def _clean(value: object, depth: int) -> object:
    match value:
        case None | bool() | int() | float() | Pii():
            return value
        case str():
            return without_people(value)
        case Mapping() | list() | tuple() | set() | frozenset() if depth == 0:
            return _CUT
        case Mapping():
            members = itertools.islice(value.items(), _MAX_ITEMS)
            return {without_people(str(key)): _member(key, item, depth - 1) for key, item in members}
        case list() | tuple() | set() | frozenset():
            return _clean_all(value, depth - 1)
        case _:
            return without_people(str(value))


def _clean_all(values: Iterable[object], depth: int) -> list[object]:
    rest = iter(values)
    cleaned = [_clean(value, depth) for value in itertools.islice(rest, _MAX_ITEMS)]
    return [*cleaned, _CUT] if next(rest, None) is not None else cleaned


def _redacted(match: re.Match[str]) -> str:
    return _BY_GROUP.get(match.lastgroup, _hashed)(match[0])


def _hashed(text: str) -> str:
    return str(Pii(text))


def _hashed_number(text: str) -> str:
    """However it is written, a number has one hash: that of its canonical form."""
    return str(Pii("+" + "".join(filter(str.isdigit, text))))


def _hashed_if_ipv6(text: str) -> str:
    """The pattern takes a little too much: punctuation at the end, or what is no address at all."""
    address = text.rstrip(".")
    if address.endswith(":") and (address.endswith(":::") or not address.endswith("::")):
        address = address[:-1]
    try:
        unspecified = ipaddress.IPv6Address(address).is_unspecified
    except ValueError:
        return _FLAT.sub(_redacted, text)
    return text if unspecified else f"{Pii(address)}{text[len(address) :]}"


_BY_GROUP: Mapping[str | None, Callable[[str], str]] = {"plus": _hashed_number, "ipv6": _hashed_if_ipv6}
