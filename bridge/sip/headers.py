"""The header section: an ordered multimap whose names are spelled one way (RFC 3261 §7.3)."""

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.sip.grammar import check_sendable, check_token

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""One-letter forms (RFC 3261 §7.3.3, and the IANA registry of SIP header fields)."""

_KNOWN = (
    "Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info "
    "Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-Language Content-Length "
    "Content-Type CSeq Date Diversion Error-Info Event Expires From History-Info Identity In-Reply-To Info-Package "
    "Join Max-Forwards MIME-Version Min-Expires Min-SE Organization P-Access-Network-Info P-Asserted-Identity "
    "P-Called-Party-ID P-Charging-Vector P-Early-Media P-Preferred-Identity Path Priority Privacy Proxy-Authenticate "
    "Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info Refer-To Referred-By Reject-Contact "
    "Remote-Party-ID Replaces Reply-To Request-Disposition Require Retry-After Route RSeq Server Service-Route "
    "Session-Expires Subject Subscription-State Supported Timestamp To Unsupported User-Agent Via Warning "
    "WWW-Authenticate X-Asterisk-HangupCause"
)

_MAX_CACHED = 1024
_MAX_CACHED_LENGTH = 64

Pairs = Iterable[tuple[str, str]]
Views = dict[str, Any]


class CanonicalNames(dict[str, str]):
    """Spelling of each header name; those that a stranger makes up fill it only to a bound, and must be tokens."""

    def __missing__(self, name: str) -> str:
        check_token(name)
        spelling = self.get(name.lower()) or "-".join(part.capitalize() for part in name.split("-"))
        if len(self) < _MAX_CACHED and len(name) <= _MAX_CACHED_LENGTH:
            self[name] = spelling
        return spelling


def _known_names() -> CanonicalNames:
    names = CanonicalNames({name.lower(): name for name in _KNOWN.split()})
    names.update({name: name for name in _KNOWN.split()})
    names.update(_COMPACT)
    names.update({letter.upper(): name for letter, name in _COMPACT.items()})
    return names


CANONICAL = _known_names()


class Headers:
    """Header fields in order; names compare without case and in compact or long form.

    Values never hold CR, LF or NUL: `add`, `set` and `prepend` refuse them, and the parser lets none in.
    """

    __slots__ = ("_first", "_pairs", "views")

    def __init__(self, pairs: Pairs = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._first: dict[str, str] | None = None
        self.views: Views = {}
        """Typed values of these headers, or what they are to be made from; forgotten with every change."""
        for name, value in pairs:
            self.add(name, value)

    @classmethod
    def trusted(
        cls,
        pairs: list[tuple[str, str]],
        first: dict[str, str] | None = None,
        views: Views | None = None,
    ) -> "Headers":
        """Take over canonical pairs that are known to be clean; `first` maps each name to its first value."""
        headers = cls.__new__(cls)
        headers._pairs = pairs
        headers._first = first
        headers.views = {} if views is None else views
        return headers

    def get(self, name: str) -> str | None:
        """The first value."""
        if self._first is None:
            self._first = dict(reversed(self._pairs))
        return self._first.get(CANONICAL[name])

    def get_all(self, name: str) -> list[str]:
        """All values, topmost first; not split at commas."""
        if self.get(name) is None:
            return []
        name = CANONICAL[name]
        return [value for key, value in self._pairs if key == name]

    def add(self, name: str, value: str) -> None:
        """Append a field."""
        pair = _checked(name, value)
        self._pairs.append(pair)
        self._changed()

    def prepend(self, name: str, value: str) -> None:
        """Put a field before all others, as a client does with its Via."""
        pair = _checked(name, value)
        self._pairs.insert(0, pair)
        self._changed()

    def set(self, name: str, value: str) -> None:
        """Replace all values by one, in the place of the first."""
        name, value = _checked(name, value)
        position = next((at for at, (key, _) in enumerate(self._pairs) if key == name), len(self._pairs))
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        self._pairs.insert(position, (name, value))
        self._changed()

    def replace_first(self, name: str, value: str) -> None:
        """Change only the topmost value, or append one."""
        name, value = _checked(name, value)
        for at, (key, _) in enumerate(self._pairs):
            if key == name:
                self._pairs[at] = (name, value)
                break
        else:
            self._pairs.append((name, value))
        self._changed()

    def remove(self, name: str) -> None:
        """Drop all values; a name that is not there is no error."""
        name = CANONICAL[name]
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        self._changed()

    def copy(self) -> "Headers":
        """Independent headers with the same fields."""
        return Headers.trusted(self._pairs.copy())

    def _changed(self) -> None:
        self._first = None
        self.views.clear()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values hold numbers and addresses: a trace of an exception must not print them.
        return f"Headers({[name for name, _ in self._pairs]})"


def _checked(name: str, value: str) -> tuple[str, str]:
    check_sendable(value)
    # Blanks around a value are not a part of it (RFC 3261 §7.3.1).
    return CANONICAL[name], value.strip(" \t")
