"""Remote ICE candidates (RFC 8839 §5.1): which ones are worth a connectivity check, and which must not get one.

A candidate makes this machine send packets to an address that a stranger chose, so what cannot be a caller's own
address is left out: this host itself, link-local (cloud metadata services), multicast, privileged ports.
"""

import enum
import ipaddress

from aioice import Candidate

MAX_CANDIDATES = 50
MAX_LINE = 512
_LOWEST_PORT = 1024
_TYPES = ("host", "srflx", "relay")


class IgnoredCandidate(enum.StrEnum):
    """Why a candidate is left out: label values of a metric."""

    UNPARSABLE = "unparsable"
    TRANSPORT = "transport"
    """TCP: telephone audio has no use for it."""
    NAME = "name"
    """An mDNS or host name; its owner reaches us first and is learned as peer-reflexive."""
    ADDRESS = "address"
    COMPONENT = "component"
    """RTCP of its own; rtcp-mux puts both on component 1."""
    SECTION = "section"
    """It belongs to a media section that was rejected."""
    TOO_MANY = "too_many"


def parse_candidate(line: str, *, allow_loopback: bool) -> Candidate | IgnoredCandidate:
    """Read a `candidate:` line, with or without `a=`; transports and types in any case."""
    fields = line.strip().removeprefix("a=").removeprefix("candidate:").split()
    if len(line) > MAX_LINE or len(fields) < 8 or fields[6].lower() != "typ":
        return IgnoredCandidate.UNPARSABLE
    foundation, component, transport, priority, host, port, _, kind = fields[:8]
    if transport.lower() != "udp":
        return IgnoredCandidate.TRANSPORT
    numbers = [_decimal(text) for text in (component, priority, port)]
    if None in numbers or kind.lower() not in _TYPES or len(foundation) > 32:
        return IgnoredCandidate.UNPARSABLE
    if numbers[0] != 1:
        return IgnoredCandidate.COMPONENT
    problem = _address_problem(host, numbers[2] or 0, allow_loopback=allow_loopback)
    if problem is not None:
        return problem
    return Candidate(
        foundation=foundation,
        component=1,
        transport="udp",
        priority=numbers[1] or 1,
        host=str(ipaddress.ip_address(host)),
        port=numbers[2] or 0,
        type=kind.lower(),
    )


def _decimal(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _address_problem(host: str, port: int, *, allow_loopback: bool) -> IgnoredCandidate | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return IgnoredCandidate.NAME
    if not _LOWEST_PORT <= port <= 65535 or not is_reachable(address, allow_loopback=allow_loopback):
        return IgnoredCandidate.ADDRESS
    return None


def is_reachable(address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, allow_loopback: bool) -> bool:
    """Whether media may be sent there at all; an IPv4-mapped address (RFC 4291 §2.5.5.2) is what it stands for."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if address.is_loopback:
        return allow_loopback
    return not (
        address.is_multicast
        or address.is_link_local
        or address.is_unspecified
        or (address.version == 4 and address.is_reserved)
    )
