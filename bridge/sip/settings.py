"""What the user agent must be told about itself and about its trunks."""

import enum
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from bridge.core.ids import TrunkName

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Transport(enum.StrEnum):
    """Transport protocols (RFC 3261 §18)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    """Over TCP (RFC 3261 §26.2.1)."""

    @property
    def default_port(self) -> int:
        """The port of an address that gives none (RFC 3261 §19.1.2)."""
        return 5061 if self is Transport.TLS else 5060


class DnsMode(enum.StrEnum):
    """How the servers behind a trunk's name are found (RFC 3263 §4)."""

    AUTO = "auto"
    """SRV, and the addresses of the name itself where it has none."""
    NAPTR = "naptr"
    """NAPTR chooses the transport, then as before."""
    SRV = "srv"
    """SRV only: the name's own address is somebody else's."""
    ADDRESS = "address"
    """A and AAAA only."""


class TrunkAuth(enum.StrEnum):
    """How a trunk knows us."""

    REGISTER = "register"
    """We register a contact (RFC 3261 §10) and answer challenges of any request."""
    DIGEST = "digest"
    """We do not register, and answer challenges."""
    ADDRESS = "address"
    """The trunk knows our source address; challenges are never answered."""


class Dtmf(enum.StrEnum):
    """How keypad tones are sent to a trunk."""

    RTP = "rtp"
    """Beside the audio (RFC 4733)."""
    INFO = "info"
    """In INFO requests, for old devices."""
    TONES = "tones"
    """Beside the audio where the phone can, else as tones in it."""


class NumberFormat(enum.StrEnum):
    """How a trunk writes telephone numbers, in both directions; short codes and names are written as they are."""

    E164 = "e164"
    """+49301234."""
    DIGITS = "digits"
    """49301234."""
    INTERNATIONAL = "international"
    """0049301234."""
    NATIONAL = "national"
    """030 1234 without the blank; numbers of other countries as in `INTERNATIONAL`."""


class FromUser(enum.StrEnum):
    """Whom the From of a call names."""

    CALLER = "caller"
    ACCOUNT = "account"
    """The address of record, by which some trunks know their customer; only the identity headers name the caller."""


class IdentityHeader(enum.StrEnum):
    """Header fields, besides From, that tell a trunk who calls."""

    ASSERTED = "asserted"
    """P-Asserted-Identity (RFC 3325 §9.1)."""
    PREFERRED = "preferred"
    """P-Preferred-Identity (RFC 3325 §9.2)."""
    REMOTE_PARTY_ID = "remote-party-id"
    """Remote-Party-ID, which never became an RFC."""


class DiversionHeader(enum.StrEnum):
    """How a trunk is told that a call was forwarded, and by which numbers."""

    DIVERSION = "diversion"
    """RFC 5806."""
    HISTORY_INFO = "history-info"
    """RFC 7044."""
    NONE = "none"


class Texting(enum.StrEnum):
    """Whether a trunk takes text messages (MESSAGE, RFC 3428), and how long one may be."""

    NONE = "none"
    PAGE = "page"
    """As long as one request may be (RFC 3428 §8): to another phone or PBX."""
    SMS = "sms"
    """As long as one short message of the mobile networks may be (3GPP TS 23.038)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRules:
    """How numbers are dialled in the country of a trunk."""

    country_code: str = ""
    """Empty knows of no country: numbers stay as they are unless they begin with a plus."""
    national_prefix: str = ""
    """Before national numbers, where it is a part of how they are written: 0 in Germany, nothing in the USA."""
    international_prefix: str = "00"
    abroad: str = "00"
    """A pattern of all that a number begins with which does not stay in the country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Who we are in TLS, and whom we believe. All files are PEM; each is read again when it changes."""

    certificate: Path | None = None
    """Ours, followed by those that lead to its authority."""
    private_key: Path | None = None
    ca_file: Path | None = None
    """Authorities that count besides those of the system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings(TlsFiles):
    """TLS at our listeners, and towards every trunk that has no files of its own."""

    require_client_certificate: bool = False
    """Whether a peer that connects has to show a certificate of `ca_file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkTls(TlsFiles):
    """TLS towards one trunk; what is not given here is taken from `TlsSettings`."""

    server_name: str = ""
    """The name that its certificate must have; empty is the one that it is looked up by (RFC 5922 §7)."""

    @property
    def files(self) -> TlsFiles:
        """Without the name."""
        return TlsFiles(certificate=self.certificate, private_key=self.private_key, ca_file=self.ca_file)


class Reliable(enum.StrEnum):
    """Whether provisional responses are made reliable (RFC 3262)."""

    OFF = "never"
    SUPPORTED = "supported"
    REQUIRED = "required"
    """Calls that we place insist on it."""


class SessionTimer(enum.StrEnum):
    """Whether a call is confirmed again from time to time (RFC 4028)."""

    OFF = "never"
    SUPPORTED = "supported"
    REQUIRED = "required"
    """Calls that we place insist on it; in others we do it alone where the peer cannot."""


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
    port: int = 0
    """0 when none is given: then SRV records name it, or else it is the transport's own (RFC 3263 §4.2)."""
    transport: Transport = Transport.UDP
    tls: TrunkTls = TrunkTls()
    dns: DnsMode = DnsMode.AUTO
    failover_after_s: float = 4.0
    """A target that has said nothing for this long is given up for the next one; the last gets the whole timer B."""
    large_by_tcp: bool = False
    """Send INVITE requests that datagrams may not carry whole over TCP (RFC 3261 §18.1.1), where the trunk takes it."""
    follow_redirects: bool = False
    """Go where a 3xx says, as far as `redirects` allows."""
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
    internal: bool = False
    """Leads to ourselves, not into the telephone network: no call comes from it, and nobody asks whether it is up."""
    outbound_proxy: bool = False
    """`host` is a proxy in front of `domain`: requests name it in a Route (RFC 3261 §8.1.2)."""
    domain_port: int = 0
    """Port of `domain` in the Request-URI; 0 leaves it out."""
    from_domain: str = ""
    """Host part of the addresses that we call from; empty uses `domain`."""
    from_user: FromUser = FromUser.CALLER
    number_format: NumberFormat = NumberFormat.E164
    number_prefix: str = ""
    """Before every called number: the tech prefix by which some trunks know their customer."""
    dial_rules: DialRules = DialRules()
    user_phone: bool = False
    """Mark addresses that are numbers with `user=phone` (RFC 3261 §19.1.1)."""
    identity_headers: tuple[IdentityHeader, ...] = (IdentityHeader.ASSERTED,)
    send_names: bool = True
    """Tell the trunk what the caller is called, beside the number."""
    trust_identity: bool = True
    """Believe what calls from this trunk say about who calls: asserted identities, diversions, verification."""
    diversion_header: DiversionHeader = DiversionHeader.DIVERSION
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further header fields of INVITE requests; they may hold a secret."""
    max_calls: int = 0
    """Calls at the same time, in both directions; 0 is no limit. Calls to emergency numbers are never limited."""
    max_calls_per_s: float = 0.0
    """Calls that we begin; 0 is no limit. What exceeds it waits for a moment."""
    max_incoming_per_s: float = 0.0
    """Calls that the trunk begins; 0 is no limit. What exceeds it is answered with 503 and Retry-After."""
    instance: str = ""
    """A `urn:uuid:` that stays the same, to register with `+sip.instance` and `reg-id` (RFC 5626); or nothing."""
    keep_alive_s: float = 0.0
    """Send line ends this often, so that NAT keeps the way open; 0 leaves it to the registrar."""
    presence_of: tuple[str, ...] = ()
    """Phones whose calls we are told of (RFC 4235)."""
    options_interval_s: float = 0.0
    """Ask OPTIONS this often; 0 never."""
    accept_transfers: bool = False
    """Let this trunk move calls: REFER (RFC 3515) and Replaces (RFC 3891)."""
    texts: Texting = Texting.NONE
    dtmf: Dtmf = Dtmf.RTP
    options_misses: int = 2
    """Out of service after so many questions without an answer: one lost question is no outage."""
    options_recoveries: int = 3
    """Back in service after so many good answers in a row: what comes and goes is not back yet."""
    reliable: Reliable = Reliable.SUPPORTED
    session_timer: SessionTimer = SessionTimer.SUPPORTED
    session_expires_s: int = 1800
    """The session interval that we ask for (RFC 4028 §4)."""
    min_se_s: int = 90
    """The shortest session interval that we agree to (RFC 4028 §5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """The user agent as a whole."""

    listeners: tuple[Listener, ...]
    advertised_host: str = ""
    """Host of Via and Contact; empty uses the listener's address."""
    user_agent: str = "Trunkline"
    tls: TlsSettings = TlsSettings()
    trunks: tuple[Trunk, ...] = ()
    emergency: frozenset[str] = frozenset()
    """Numbers that no limit stops."""
    max_requests_per_s: int = 200
    """New requests (calls, OPTIONS) a second that are read from one address; 0 reads all."""
    timer_t1_s: float = 0.5
    """RFC 3261 §17.1.1.1: the round-trip estimate that all retransmission timers are multiples of."""
