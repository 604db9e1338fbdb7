"""What we call ourselves in Via and Contact (RFC 3261 §18.1.1)."""

import ipaddress
import socket
from collections import Counter

from bridge.sip.actions import LocalAddress
from bridge.sip.settings import Listener, SipSettings, Transport


def local_addresses(bound: tuple[Listener, ...], settings: SipSettings) -> tuple[LocalAddress, ...]:
    """One address for each listener, numbered for each transport in the order in which they were bound.

    Without a listener for TLS, connections that we open have the usual port in Via and Contact: answers, and the calls
    of a registrar, come by the connection.
    """
    if not any(listener.transport is Transport.TLS for listener in bound):
        port = Transport.TLS.default_port
        bound = (*bound, *(Listener(transport=Transport.TLS, host=host, port=port) for host in _hosts(bound)))
    numbers: Counter[str] = Counter()
    found = []
    for listener in bound:
        local = LocalAddress(
            transport=listener.transport,
            host=settings.advertised_host or _own_host(listener.host),
            port=listener.port,
            listener=numbers[listener.transport],
            version=ipaddress.ip_address(listener.host).version,
        )
        numbers[listener.transport] += 1
        found.append(local)
    return tuple(found)


def _hosts(bound: tuple[Listener, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(listener.host for listener in bound))


def _own_host(host: str) -> str:
    """The listener's address, or for "any" the one that leads to the trunks."""
    return _outward_address(host) if ipaddress.ip_address(host).is_unspecified else host


def _outward_address(host: str) -> str:
    """The address of the interface with the default route; asking for it sends nothing."""
    version = ipaddress.ip_address(host).version
    family, target = (socket.AF_INET, "192.0.2.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            return "127.0.0.1" if version == 4 else "::1"
        outward: str = probe.getsockname()[0]
        return outward
