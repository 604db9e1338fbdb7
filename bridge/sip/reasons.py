"""Reason headers: why a request or response was sent (RFC 3326)."""

from collections.abc import Iterator

from bridge.sip.errors import SipError
from bridge.sip.grammar import BLANKS, parse_params, split_list
from bridge.sip.message import Message

_MAX_VALUES = 8
"""One for each protocol is what the RFC allows, and there are two; what comes after these is not even looked at."""

_MAX_LENGTH = 1024


def cause(message: Message, protocol: str) -> int | None:
    """The cause for one protocol, `Q.850` or `SIP`, if the peer gave one."""
    for element in _elements(message):
        name, mark, params = element.partition(";")
        if name.strip(BLANKS).lower() == protocol.lower() and (value := _cause(mark + params)) is not None:
            return value
    return None


def q850_cause(message: Message) -> int | None:
    """The ITU-T Q.850 cause value, 1 to 127."""
    value = cause(message, "Q.850")
    return value if value is not None and 1 <= value <= 127 else None


def _elements(message: Message) -> Iterator[str]:
    for value in message.headers.get_all("Reason")[:_MAX_VALUES]:
        try:
            yield from split_list(value[:_MAX_LENGTH])[:_MAX_VALUES]
        except SipError:
            continue  # Quotes without an end: nothing in it can be told apart.


def _cause(text: str) -> int | None:
    try:
        value = parse_params(text).get("cause") or ""
    except SipError:
        value = _loose_cause(text)
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 3 else None


def _loose_cause(text: str) -> str:
    """Some peers write a text of several words without quotes."""
    pairs = (piece.partition("=") for piece in text.split(";"))
    return next((value.strip(BLANKS) for name, _, value in pairs if name.strip(BLANKS).lower() == "cause"), "")
