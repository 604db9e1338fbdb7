"""The header section cut into its fields (RFC 3261 §7.3.1)."""

import re

from bridge.core.values import Kept
from bridge.sip.errors import LocalSipError
from bridge.sip.grammar import BLANKS, TOKEN
from bridge.sip.headers import CANONICAL

MAX_LINES = 1_000
"""Lines of a header section, folded ones counted: what is beyond is not even looked at."""

_ANY_FIELD = re.compile(rf"\r\n({TOKEN})[ \t]*:[ \t]*([^\r\n]*)")
_FOLD = re.compile(r"\r\n[ \t]+")

_RECURRING_NAMES = (
    "Max-Forwards User-Agent Server Allow Supported Require Session-Expires Min-SE Content-Type Content-Length CSeq "
    "Accept Accept-Encoding Accept-Language Allow-Events Content-Disposition Expires Privacy Reason P-Early-Media"
)
_RECURRING = frozenset(_RECURRING_NAMES.split())

Field = tuple[str, str]
"""Canonical name and value."""


class _Fields(Kept[Field]):
    """The field of each line; those that the next message is likely to have too are kept."""

    def __missing__(self, line: str) -> Field:
        """Raise `LocalSipError` for a line that is folded, has blanks in unusual places, or is no header field."""
        name, _, value = line.partition(": ")
        name = CANONICAL[name]
        if value.strip(BLANKS) is not value or "\r" in value:
            raise LocalSipError("no plain header line")
        field = name, value
        return self.keep(line, field) if name in _RECURRING else field


_FIELDS = _Fields()


def split_head(head: str) -> tuple[str, list[Field], bool]:
    """Start line, header fields, and whether all lines were header fields; `head` ends with a line end."""
    ends = head.count("\n")
    if ends > MAX_LINES:
        start_line, fields, _ = split_head("\n".join(head.split("\n", MAX_LINES)[:MAX_LINES]))
        return start_line, fields, False
    lines = head.split("\r\n")
    # No CR or LF may stand alone for another reader to take for the end of a line.
    if ends != len(lines) - 1 or "\r" in lines[0]:
        return _split_any(head)
    try:
        return lines[0], [_FIELDS[line] for line in lines[1:-1]], True
    except LocalSipError:
        return _split_any(head)


def _split_any(head: str) -> tuple[str, list[Field], bool]:
    """The same for lines that are folded, have blanks in unusual places, or are no header fields."""
    head = _FOLD.sub(" ", head.removesuffix("\r\n"))
    fields = [(CANONICAL[name], value.rstrip(BLANKS)) for name, value in _ANY_FIELD.findall(head)]
    whole = head.count("\r") == len(fields) and head.count("\n") == len(fields)
    return head.partition("\r\n")[0], fields, whole
