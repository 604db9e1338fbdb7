"""Remote ICE candidates (RFC 8839 §5.1): which ones are worth a connectivity check, and which must not get one.

A candidate makes this machine send packets to an address that a stranger chose, so what cannot be a caller's own
address is left out: this host itself, link-local addresses, services of cloud providers, multicast, privileged ports.

Private addresses belong to networks of the bridge's operator as well as to a caller's, so they need to be configured. A
client in such a network is heard without it: its own checks reach us, and it is learned as peer-reflexive.
"""

import enum
import ipaddress

from aioice import Candidate

from bridge.core.addresses import IpAddress

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
MAX_CANDIDATES = 50
MAX_LINE = 512
_LOWEST_PORT = 1024
_TYPES = ("host", "srflx", "relay")
_PRIVATE: Networks = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
"""RFC 1918, RFC 6598, RFC 4193."""
_NOWHERE: Networks = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "192.0.0.0/24", "168.63.129.16/32", "fec0::/10")))
"""This network, protocol assignments and Azure's service for its guests, site-local addresses."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class IgnoredCandidate(enum.StrEnum):
    """Why a candidate is left out: label values of a metric."""

    UNPARSABLE = "unparsable"
    TRANSPORT = "transport"
    """TCP: telephone audio has no use for it."""
    NAME = "name"
    """An mDNS or host name; its owner reaches us first and is learned as peer-reflexive."""
    ADDRESS = "address"
    PRIVATE = "private"
    """A private address of a network that was not configured."""
    COMPONENT = "component"
    """RTCP of its own; rtcp-mux puts both on component 1."""
    SECTION = "section"
    """It belongs to a media section that was rejected."""
    TOO_MANY = "too_many"


def parse_candidate(
    line: str, *, allow_loopback: bool, private_networks: Networks = ()
) -> Candidate | IgnoredCandidate:
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
    problem = _address_problem(host, numbers[2] or 0, allow_loopback, private_networks)
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


def _address_problem(host: str, port: int, allow_loopback: bool, private_networks: Networks) -> IgnoredCandidate | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return IgnoredCandidate.NAME
    if not _LOWEST_PORT <= port <= 65535 or not is_reachable(address, allow_loopback=allow_loopback):
        return IgnoredCandidate.ADDRESS
    address = _meant(address)
    if _is_in(address, _PRIVATE) and not _is_in(address, private_networks):
        return IgnoredCandidate.PRIVATE
    return None


def is_reachable(address: IpAddress, *, allow_loopback: bool) -> bool:
    """Whether media may be sent there at all."""
    address = _meant(address)
    if address.is_loopback:
        return allow_loopback
    return not (
        address.is_multicast
        or address.is_link_local
        or address.is_unspecified
        or (address.version == 4 and address.is_reserved)
        or _is_in(address, _NOWHERE)
    )


def _meant(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for: mapped (RFC 4291 §2.5.5.2), 6to4, behind a NAT64 (RFC 6052)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address


def _is_in(address: IpAddress, networks: Networks) -> bool:
    return any(address in network for network in networks)
