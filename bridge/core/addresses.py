"""Hosts as sockets, URIs and settings write them: which are IP addresses, and who stands behind one."""

import errno
import os
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

IpAddress = IPv4Address | IPv6Address


@lru_cache(maxsize=4_096)
def address_of(host: str) -> IpAddress | None:
    """The address that a host is, whatever its zone; IPv4 mapped into IPv6 counts as IPv4 (RFC 5118 §4.9).

    `None` for a name.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_numeric(host: str) -> bool:
    """Whether a host is an address and not a name."""
    return address_of(host) is not None


def canonical_host(host: str) -> str:
    """One spelling for each address and each name."""
    address = address_of(host)
    return host.lower() if address is None else str(address)


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean it."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def is_every(host: str) -> bool:
    """Whether a socket that is bound to it listens on all addresses of the machine."""
    address = address_of(host)
    return address is not None and address.is_unspecified


def source_key(host: str) -> str | bytes:
    """Whose limits an address spends: of IPv6 the /64, for whoever has one address of it has them all."""
    address = address_of(host)
    match address:
        case IPv6Address():
            return address.packed[:8]
        case _:
            return host if address is None else str(address)


def why_not_bound(error: Exception) -> str:
    """Why a socket cannot be bound, and what an admin can do."""
    number = error.errno if isinstance(error, OSError) else None
    match number:
        case errno.EADDRINUSE:
            return "another program has that port: end it, or choose another port"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address: choose one that it has"
        case errno.EACCES:
            return "this user may not have that port: choose one above 1023"
        case int():
            return os.strerror(number)
        case _:
            return str(error)
