"""By whom a call was forwarded: Diversion (RFC 5806) and History-Info (RFC 7044), read and written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bridge.sip.fields import NameAddr
from bridge.sip.identity import readable_addresses
from bridge.sip.message import Request
from bridge.sip.number_forms import user_of
from bridge.sip.settings import DiversionHeader, Trunk
from bridge.sip.uri import SipUri, Uri

MAX_DIVERSIONS = 20
"""A call that was forwarded more often goes in a circle."""

_UNCONDITIONAL = "302"
"""The `cause` of unconditional forwarding (RFC 4458 §2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One element of History-Info: a target that the call had (RFC 7044 §5)."""

    uri: Uri
    caused: bool
    """Whether the call came to this target because it was forwarded (RFC 4458 §2, RFC 7044 §10.2)."""
    left: bool
    """Whether the entry itself says why the call went on: an escaped Reason header (RFC 7044 §5.1)."""
    hidden: bool
    """Whether its owner does not want to be told (RFC 7044 §10.1.2)."""


def diverted_from(request: Request, trunk: Trunk) -> tuple[str, ...]:
    """The numbers that forwarded a call, the newest first, each once; only a trunk that is believed can say it."""
    if not trunk.trust_identity:
        return ()
    numbers = [user_of(uri, trunk) for uri in [*_diversions(request)] or [*_history(request)]]
    return tuple(dict.fromkeys(number for number in numbers if number))


def diversion_fields(uris: Sequence[SipUri], current: SipUri, header: DiversionHeader) -> list[tuple[str, str]]:
    """What tells a trunk that a call to `current` was forwarded by those addresses, the newest first."""
    uris = uris[:MAX_DIVERSIONS]
    match header:
        case DiversionHeader.DIVERSION:
            return [("Diversion", f"<{uri}>;reason=unconditional") for uri in uris]
        case DiversionHeader.HISTORY_INFO if uris:
            return [("History-Info", value) for value in _entries([*reversed(uris), current])]
        case _:
            return []


def _entries(targets: Sequence[SipUri]) -> Iterator[str]:
    """Each target came from the one before (RFC 7044 §10.3: `1`, `1.1`, `1.1.1`)."""
    index = "1"
    for number, target in enumerate(targets):
        if number == 0:
            yield f"<{target}>;index={index}"
            continue
        caused = replace(target, params={**target.params, "cause": _UNCONDITIONAL})
        yield f"<{caused}>;index={index}.1;mp={index}"
        index += ".1"


def _diversions(request: Request) -> Iterator[Uri]:
    """The newest comes first (RFC 5806 §4)."""
    for address in readable_addresses(request, "Diversion", MAX_DIVERSIONS):
        privacy = (address.params.get("privacy") or "").strip('"').lower()
        if privacy in ("", "off", "none"):
            yield address.uri


def _history(request: Request) -> Iterator[Uri]:
    """The targets that a call had and left because it was forwarded, the newest first; the last one is where it is."""
    entries = [_entry(address) for address in readable_addresses(request, "History-Info", MAX_DIVERSIONS)]
    for entry, next_entry in reversed([*pairwise(entries)]):
        if (entry.left or next_entry.caused) and not entry.hidden:
            yield entry.uri


def _entry(address: NameAddr) -> _Entry:
    names: frozenset[str] = frozenset()
    caused = "mp" in address.params
    if isinstance(address.uri, SipUri):
        names = frozenset(name.lower() for name, _ in address.uri.headers)
        caused = caused or "cause" in address.uri.params
    return _Entry(uri=address.uri, caused=caused, left="reason" in names, hidden="privacy" in names)
