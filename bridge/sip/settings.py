"""What the user agent must be told about itself and about its trunks."""

import enum
import ipaddress
from dataclasses import dataclass, field

from bridge.core.ids import TrunkName

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Transport(enum.StrEnum):
    """Transport protocols (RFC 3261 §18)."""

    UDP = "udp"
    TCP = "tcp"


class TrunkAuth(enum.StrEnum):
    """How a trunk knows us."""

    REGISTER = "register"
    """We register a contact (RFC 3261 §10) and answer challenges of any request."""
    DIGEST = "digest"
    """We do not register, and answer challenges."""
    ADDRESS = "address"
    """The trunk knows our source address; challenges are never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One local address to receive on."""

    transport: Transport
    host: str
    port: int
    """0 takes a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """One way into the telephone network."""

    name: TrunkName
    host: str
    """Next hop: a host name or an address."""
    port: int = 5060
    transport: Transport = Transport.UDP
    domain: str = ""
    """Host part of Request-URI, From and To; empty uses `host`."""
    auth: TrunkAuth = TrunkAuth.ADDRESS
    username: str = ""
    password: str = field(default="", repr=False)
    realm: str = ""
    """The only realm that gets credentials; empty allows the first realm that a trunk asks with."""
    register_user: str = ""
    """User part of the address of record; empty uses `username`."""
    register_expires_s: int = 600
    sources: tuple[Network, ...] = ()
    """Where calls may come from, besides the next hop's own address."""
    assert_identity: bool = True
    """Send P-Asserted-Identity (RFC 3325)."""
    trust_identity: bool = True
    """Believe P-Asserted-Identity of calls from this trunk."""
    options_interval_s: float = 0.0
    """Ask OPTIONS this often; 0 never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """The user agent as a whole."""

    listeners: tuple[Listener, ...]
    advertised_host: str = ""
    """Host of Via and Contact; empty uses the listener's address."""
    user_agent: str = "Trunkline"
    trunks: tuple[Trunk, ...] = ()
    timer_t1_s: float = 0.5
    """RFC 3261 §17.1.1.1: the round-trip estimate that all retransmission timers are multiples of."""
