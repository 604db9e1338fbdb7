"""Lexical rules that all headers share (RFC 3261 §25.1).

Every pattern is matched from a fixed start and no two neighbouring quantifiers share a character: no input makes one
backtrack far. Character classes are spelled out: `\\d` and `\\s` would let in the digits and blanks of all Unicode.
"""

import re
from collections.abc import Mapping

from bridge.sip.errors import LocalSipError, SipError

Params = Mapping[str, str | None]
"""Parameters by lower-case name; `None` is a parameter without a value, and quotes are kept."""

TOKEN = r"[A-Za-z0-9.!%*_+`'~-]+"  # noqa: S105
QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+"
PARAM_VALUE = r"[!#-+\--:=?-\[\]-~]+"
"""Wider than the RFC's `token / host`: tags and branches with `=`, `/` and `@` are about, and end no value."""

BLANKS = " \t"

_TOKEN = re.compile(TOKEN)
_PARAM = re.compile(rf"[ \t]*;[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({PARAM_VALUE}|{QUOTED}))?[ \t]*")
_LIST_MARK = re.compile(rf'{QUOTED}|<[^<>]*>|[,"<]')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSENDABLE = re.compile(r"[\r\n\x00\ud800-\udfff]")


def check_sendable(text: str) -> None:
    """Refuse what would end a line early: a number, name or reason must not carry a header of its own."""
    if _UNSENDABLE.search(text):
        raise LocalSipError("line break, NUL or lone surrogate in a header field")


def check_token(text: str) -> None:
    """Refuse a name that is no token (RFC 3261 §25.1)."""
    if not _TOKEN.fullmatch(text):
        raise LocalSipError("not a token")


def quote(text: str) -> str:
    """A quoted-string; control characters are left out."""
    text = _CONTROL.sub("", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """The content of a quoted-string; anything else is returned as it is."""
    if len(text) < 2 or text[0] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner


def printable(text: str) -> str:
    """The text without control characters, which a peer may hide in a display name."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub("", text)


def parse_params(text: str, start: int = 0) -> dict[str, str | None]:
    """The `;name=value` list from `start` to the end; of a repeated name, which no sender may use, the first counts."""
    params: dict[str, str | None] = {}
    end = len(text)
    if start == end:
        return params
    while start < end:
        found = _PARAM.match(text, start)
        if found is None:
            raise SipError(400, "Malformed Parameters")
        name, value = found.groups()
        params.setdefault(name.lower(), value)
        start = found.end()
    return params


def plain_params(text: str) -> dict[str, str | None]:
    """The same for a list that has matched a pattern: without blanks, quotes, escapes or empty names."""
    params: dict[str, str | None] = {}
    for piece in text[1:].split(";"):
        name, equals, value = piece.partition("=")
        params.setdefault(name.lower(), value if equals else None)
    return params


def format_params(params: Params) -> str:
    """The `;name=value` list."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params.items()])


def split_list(value: str) -> list[str]:
    """The elements of a comma-separated value; commas in quotes and angle brackets do not count (RFC 3261 §7.3.1)."""
    if "," not in value:
        return [value]
    if '"' not in value and "<" not in value:
        return [element.strip(BLANKS) for element in value.split(",")]
    return _split_marked(value)


def _split_marked(value: str) -> list[str]:
    elements: list[str] = []
    start = 0
    for mark in _LIST_MARK.finditer(value):
        if mark[0] == ",":
            elements.append(value[start : mark.start()].strip(BLANKS))
            start = mark.end()
        elif len(mark[0]) == 1:
            # Stop at the first quote without an end: looking for it again from each later quote takes quadratic time.
            raise SipError(400, "Unbalanced Quotes or Brackets")
    elements.append(value[start:].strip(BLANKS))
    return elements


def split_tokens(values: list[str]) -> list[str]:
    """All tokens of a list header, empty elements left out."""
    return [token for value in values for element in value.split(",") if (token := element.strip(BLANKS))]


def parse_number(text: str, limit: int, what: str) -> int:
    """A whole number from 0 to `limit`; the length is checked first, since huge ones take long to convert."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or (number := int(text)) > limit:
        raise SipError(400, f"Invalid {what}")
    return number
