"""How each typed view of a message is made from its headers, or from what the parser recognized in them."""

from bridge.sip.digest import Challenge
from bridge.sip.errors import SipError
from bridge.sip.fields import DELTA_SECONDS, MAX_DELTA_SECONDS, CSeq, NameAddr, RAck, Via
from bridge.sip.grammar import split_list, split_tokens
from bridge.sip.headers import Headers

RECOGNIZED_VIAS = "recognized_vias"
"""Beside the views: what the parser has made of all Via headers."""

OF_VIA = frozenset(("via", "vias", RECOGNIZED_VIAS))
"""The views that a change of a Via makes stale."""


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise SipError(400, f"Missing {name}")
    return value


def top_via(headers: Headers) -> Via:
    """The topmost Via."""
    if found := headers.views.get(RECOGNIZED_VIAS):
        return Via.recognized(found[0])
    return Via.parse(split_list(_required(headers, "Via"))[0])


def vias(headers: Headers) -> list[Via]:
    """All Via elements."""
    if found := headers.views.get(RECOGNIZED_VIAS):
        return [Via.recognized(element) for element in found]
    return [Via.parse(element) for value in headers.get_all("Via") for element in split_list(value)]


def from_(headers: Headers) -> NameAddr:
    """Who sent the request."""
    found = headers.views.get("from")
    return NameAddr.recognized(found) if found is not None else NameAddr.parse(_required(headers, "From"))


def to(headers: Headers) -> NameAddr:
    """Whom it was meant for."""
    found = headers.views.get("to")
    return NameAddr.recognized(found) if found is not None else NameAddr.parse(_required(headers, "To"))


def call_id(headers: Headers) -> str:
    """Call-ID as it is."""
    return _required(headers, "Call-ID")


def cseq(headers: Headers) -> CSeq:
    """Order and method."""
    return CSeq.parse(_required(headers, "CSeq"))


def _addresses(headers: Headers, name: str) -> list[NameAddr]:
    return [NameAddr.parse(element) for value in headers.get_all(name) for element in split_list(value)]


def contacts(headers: Headers) -> list[NameAddr]:
    """Contact elements, none for `*`."""
    return [] if headers.get("Contact") == "*" else _addresses(headers, "Contact")


def routes(headers: Headers) -> list[NameAddr]:
    """Route elements."""
    return _addresses(headers, "Route")


def record_routes(headers: Headers) -> list[NameAddr]:
    """Record-Route elements."""
    return _addresses(headers, "Record-Route")


def asserted_identities(headers: Headers) -> list[NameAddr]:
    """P-Asserted-Identity elements."""
    return _addresses(headers, "P-Asserted-Identity")


def expires(headers: Headers) -> int | None:
    """Seconds, or `None` when absent or malformed."""
    value = headers.get("Expires")
    if value is None or not DELTA_SECONDS.fullmatch(value):
        return None
    return int(value)


def rack(headers: Headers) -> RAck:
    """Which provisional response a PRACK means."""
    return RAck.parse(_required(headers, "RAck"))


def rseq(headers: Headers) -> int | None:
    """The number of a provisional response; `None` when absent or malformed."""
    value = headers.get("RSeq") or ""
    return int(value) if DELTA_SECONDS.fullmatch(value) and 0 < int(value) <= MAX_DELTA_SECONDS else None


def retry_after(headers: Headers) -> int | None:
    """Seconds, without the comment and parameters; `None` when absent or malformed."""
    value = (headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return int(value) if DELTA_SECONDS.fullmatch(value) else None


def content_type(headers: Headers) -> str | None:
    """Media type without parameters."""
    value = headers.get("Content-Type")
    return None if value is None else value.partition(";")[0].strip(" \t").lower()


def allow(headers: Headers) -> frozenset[str]:
    """Method names."""
    return frozenset(split_tokens(headers.get_all("Allow")))


def supported(headers: Headers) -> frozenset[str]:
    """Option tags in lower case."""
    return frozenset(tag.lower() for name in ("Supported", "Require") for tag in split_tokens(headers.get_all(name)))


def require(headers: Headers) -> tuple[str, ...]:
    """Option tags in lower case."""
    return tuple(tag.lower() for tag in split_tokens(headers.get_all("Require")))


def challenges(headers: Headers) -> list[Challenge]:
    """Digest challenges of both kinds."""
    return [
        *Challenge.parse_all(headers.get_all("WWW-Authenticate")),
        *Challenge.parse_all(headers.get_all("Proxy-Authenticate"), proxy=True),
    ]
