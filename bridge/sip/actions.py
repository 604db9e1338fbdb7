"""What goes into the user agent's core and what comes out of it, apart from calls: flows, sends, counts, notes."""

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from bridge.core.ids import TrunkName
from bridge.core.values import record_type
from bridge.sip.events import SipEvent
from bridge.sip.settings import TlsFiles, Transport
from bridge.sip.targets import Server


class Address(NamedTuple):
    """Host and port of a peer; the host of a received message is always a numeric address."""

    host: str
    port: int


@record_type
class Flow:
    """The way a message came by, or is to leave by (RFC 3261 §18)."""

    transport: Transport
    host: str
    """The peer's address; a host name only for a request to a URI that names one."""
    port: int
    """0 only with a host name, when the URI gives none: the DNS names it (RFC 3263 §4.2)."""
    connection: int = 0
    """Number of a stream connection to prefer while it is open; 0 for datagrams, or to use or open any to the peer."""
    listener: int = 0
    """Which of our listeners of this transport a message came to: its answer leaves from the same one."""
    name: str = ""
    """What the certificate of a TLS peer has to name (RFC 5922 §7): what `host` was found by; empty is `host`."""
    trunk: TrunkName | None = None
    """Whose way it is, if a trunk's."""
    tls: TlsFiles = TlsFiles()
    """With which files of that trunk a connection is made; without any, those of the listeners."""

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself."""
        return self.transport is not Transport.UDP

    @property
    def address(self) -> Address:
        """Host and port of the peer."""
        return Address(self.host, self.port)


@record_type
class LocalAddress:
    """What we call ourselves in Via and Contact for one transport."""

    transport: Transport
    host: str
    port: int
    listener: int = 0
    """Its number among the listeners of its transport, as a flow names it."""
    version: int = 4
    """Of the Internet Protocol that its socket speaks; `host` may be a name."""


class ClientKey(NamedTuple):
    """What matches a response to a client transaction (RFC 3261 §17.1.3)."""

    branch: str
    method: str


@record_type
class Send:
    """Put one message on the wire."""

    payload: bytes
    flow: Flow
    transaction: ClientKey | None = None
    """The transaction to tell when this cannot be sent."""


@record_type
class Emit:
    """Tell the user of the endpoint."""

    event: SipEvent


@record_type
class Count:
    """Add one to a counter of the telemetry port."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@record_type
class Gauge:
    """Set a level of the telemetry port."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    is_moment: bool = False
    """Whether `value` is a moment of the clock that inputs come with; shown in seconds since 1970."""


@record_type
class Observe:
    """Record one value of a distribution of the telemetry port."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@record_type
class Note:
    """Write a line to the log: a past-tense name and its fields."""

    event: str
    warning: bool = False
    fields: Mapping[str, object] = field(default_factory=dict)


@record_type
class Fault:
    """Something of ours went wrong, and was survived: count it, and log it once in a while."""

    event: str
    error: Exception


@record_type
class LookUp:
    """Find the addresses of a host, and tell with `NameFound`: its messages are read only once these are known."""

    host: str


@record_type
class DoubtFlow:
    """A request over a stream got no answer: a connection that was silent all the while is dead, and has to end."""

    flow: Flow
    silent_s: float


@record_type
class Ping:
    """Send line ends, so that a way stays open (RFC 5626 §4.4.1); on a stream only if it is open still."""

    flow: Flow
    answered: bool
    """Whether the peer has promised to answer: a stream without the answer is dead."""


Action = Ping | Send | Emit | Count | Gauge | Observe | Note | Fault | LookUp | DoubtFlow


@record_type
class Received:
    """One message came in: a datagram, or what the framer cut from a stream."""

    payload: bytes
    flow: Flow
    refused: str = ""
    """Too much, and by which limit: it gets 503 unless it belongs to something begun."""


@record_type
class SentBy:
    """A request of this transaction went over this stream connection: its end is that of the request (RFC 3261 §18)."""

    transaction: ClientKey
    connection: int


@record_type
class SendFailed:
    """A request of this transaction could not be sent: no address, no connection, no route."""

    transaction: ClientKey


@record_type
class Unreachable:
    """The network reported that nothing listens there (ICMP)."""

    transport: Transport
    address: Address


@record_type
class ConnectionClosed:
    """A stream connection ended; `flow` is the one its messages carried."""

    flow: Flow


@record_type
class TrunkResolved:
    """The servers of a trunk; none when its name could not be resolved."""

    trunk: TrunkName
    servers: tuple[Server, ...]


@record_type
class NameFound:
    """The addresses of a host that a peer named."""

    host: str
    addresses: tuple[str, ...]


@record_type
class TimeElapsed:
    """Deadlines may have passed."""


NetworkInput = Received | SentBy | SendFailed | Unreachable | ConnectionClosed | TrunkResolved | NameFound | TimeElapsed
