"""What a media engine must be told."""

import enum
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from bridge.media.ice_servers import StunServer, TurnServer
from bridge.media.silence_watch import SilenceLimits
from bridge.media.sounds import Sound


class PathChoice(enum.StrEnum):
    """Who carries the packets."""

    AUTO = "auto"
    """The native path where `trunkline-native` is installed, else the portable one."""
    PORTABLE = "portable"
    NATIVE = "native"
    RTPENGINE = "rtpengine"
    """Servers of their own, over the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """A host, by name or address, and a UDP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """Addresses, ports and time limits of the engine in this process."""

    engine: PathChoice = PathChoice.AUTO
    workers: int = 0
    """Threads (native) or processes (portable) that carry packets; 0 is one for each core of this process."""
    webrtc_hosts: tuple[str, ...] = ()
    """Local addresses on which ICE candidates are gathered; empty takes every address of the machine but loopback."""
    rtp_host: str = "127.0.0.1"
    """Local address of the RTP sockets towards trunks."""
    advertised_hosts: tuple[str, ...] = ()
    """Addresses written into our SDP instead of the local ones (a one-to-one NAT), at most one for each version of IP;
    where there is none, the local one is written."""
    port_min: int = 20000
    port_max: int = 29999
    """All UDP ports of audio, both sides, lie in this range, ends included: `ports_of_a_call` of them for each call."""
    connect_timeout_s: float = 20.0
    """ICE and DTLS must be up this long after the Matrix answer."""
    rtp_timeout_s: float = 30.0
    """Silence of the phone, not on hold, after which the call has lost its media; 0 never."""
    silence: SilenceLimits = field(default_factory=SilenceLimits)
    """When a side of which nothing is heard is told of; that ends no call."""
    rtp_sources: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks from which a phone's RTP may come although its description names another address (a NAT, a host with
    several interfaces); the first source of a call is kept."""
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of private addresses in which users' devices may be: connectivity checks are sent there when a client
    asks for it. A client that can reach us is heard without it."""
    stun_servers: tuple[StunServer, ...] = ()
    """Asked for the address that our WebRTC sockets have on the outside of a NAT."""
    turn_servers: tuple[TurnServer, ...] = ()
    """Asked for addresses of theirs, through which the audio goes where nothing else gets through."""
    hold_music: Sound | None = None
    """What a phone hears while the user's client holds it; `None` is silence."""
    rtpengines: tuple[ServerAddress, ...] = ()
    """Where rtpengine servers listen for commands, for the engine of that name."""
    rtpengine_keys: ServerAddress | None = None
    """Where we listen for the keys that these servers report."""
