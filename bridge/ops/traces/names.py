"""SIP messages without what people are called, which only its place tells from other words (RFC 3261 §20.10)."""

import re
from collections.abc import Sequence

from bridge.core.pii import Pii

_FIELD = re.compile(r"(?m)^([A-Za-z0-9.!%*_+`'~-]+)([ \t]*:)((?:[^\r\n]|\r(?!\n)|\r?\n[ \t])*+)")
"""A header field with its folded lines (§7.3.1); no line of a session description looks like one."""
_PIECE = re.compile(r'<[^<>]*>?|"(?:[^"\\]|\\.?)*+(?:"|(?P<open>\Z))|[^<",]+|,', re.DOTALL)
"""An address in brackets, a quoted string, which may be open, or what stands between them. Each octet is read once."""
_OF_PEOPLE = frozenset(
    (
        *("from", "f", "to", "t", "contact", "m", "reply-to", "refer-to", "r", "referred-by", "b", "diversion"),
        *("p-asserted-identity", "p-preferred-identity", "p-called-party-id", "p-associated-uri", "p-served-user"),
        *("remote-party-id", "history-info", "call-info", "subject", "s", "organization"),
    )
)
"""What stands in these without brackets is a person's as well."""


def without_names(text: str) -> str:
    """A message with keyed hashes in the place of names; parameters stay."""
    return _FIELD.sub(lambda match: f"{match[1]}{match[2]}{_value(match[1].lower(), match[3])}", text)


def _value(field: str, value: str) -> str:
    """All in front of an address is its name, unless a comma parts it from the parameters of the address before."""
    if field not in _OF_PEOPLE and "<" not in value:
        return value
    shown: list[str] = []
    words: list[str] = []
    are_parameters = False
    for piece in _PIECE.finditer(value):
        if piece[0][0] == "<":
            shown += [_hidden(words), piece[0]]
            words, are_parameters = [], True
        elif piece[0] == "," and are_parameters:
            shown += [*words, ","]
            words, are_parameters = [], False
        elif piece.lastgroup == "open":
            shown.append(_hidden([*words, piece[0]]))
            words = []
        else:
            words.append(piece[0])
    return "".join((*shown, *(words if are_parameters or field not in _OF_PEOPLE else [_hidden(words)])))


def _hidden(words: Sequence[str]) -> str:
    """One hash for a name, with quotes or without."""
    text = "".join(words)
    name = text.strip()
    return text.replace(name, str(Pii(name.strip('"')))) if name else text
