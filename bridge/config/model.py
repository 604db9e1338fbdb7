"""The configuration file as types: one model for each section, in the order of `config/trunkline.example.yaml`.

Models are frozen and refuse what they do not know. The file is described, setting by setting, in the example; the
docstrings here say only what the code needs to know.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from bridge.config import values
from bridge.config.announcements import AnnouncementsConfig
from bridge.config.groups import GroupConfig
from bridge.config.kinds import (
    DEFAULT_REGION,
    CalledNumber,
    CallerId,
    Callers,
    FilePath,
    Flag,
    HeaderLines,
    Ip,
    KeepAliveSeconds,
    Line,
    ListenAddress,
    Localpart,
    LocalUser,
    Minutes,
    Name,
    Number,
    NumberPattern,
    NumberPrefix,
    OptionalAddress,
    OptionalHost,
    OptionalMxc,
    OptionalNumber,
    OptionalPath,
    OptionalPrice,
    OptionalRegion,
    OptionalServer,
    OptionalToken,
    OptionalUrl,
    OutsideIps,
    Password,
    Ports,
    Prefix,
    Price,
    Region,
    Seconds,
    SecondsOrNever,
    ServerAddress,
    ServerName,
    ShortCode,
    SipListener,
    SourceNetwork,
    Srtp,
    StunAddress,
    Text,
    TimeZone,
    Token,
    TrunkCodec,
    TrunkServer,
    TurnUri,
    Url,
    Who,
    Word,
)
from bridge.config.menus import MenuConfig
from bridge.config.operations import LoggingConfig, OpsConfig
from bridge.config.reached import InboundNumber, TargetName
from bridge.config.section import Section
from bridge.config.voicemail import VoicemailConfig
from bridge.core.presence import RingWhen
from bridge.media.formats import Codec
from bridge.media.policy import SrtpUse
from bridge.media.settings import PathChoice
from bridge.numbers.dial_plan import Choose
from bridge.sip.settings import (
    DiversionHeader,
    DnsMode,
    Dtmf,
    FromUser,
    IdentityHeader,
    Listener,
    NumberFormat,
    Reliable,
    SessionTimer,
    Texting,
    Transport,
    TrunkAuth,
)


class EarlyMedia(enum.StrEnum):
    """What a caller hears until the phone is answered."""

    RINGBACK = "ringback"
    ANSWER = "answer"


class HomeserverConfig(Section):
    """`homeserver`: whose application service this is."""

    url: Url
    server_name: ServerName
    request_timeout_s: Seconds = 15.0
    puppet_token: OptionalToken = SecretStr("")
    puppet_token_file: OptionalPath = None
    admin_token: OptionalToken = SecretStr("")
    admin_token_file: OptionalPath = None


class AppserviceConfig(Section):
    """`appservice`: how the homeserver knows us."""

    id: Word = "trunkline"
    listen: ListenAddress = values.Address(host="127.0.0.1", port=29330)
    url: OptionalUrl = ""
    as_token: Token
    as_token_file: OptionalPath = None
    hs_token: Token
    hs_token_file: OptionalPath = None
    bot_localpart: Localpart = "_sip_bot"
    ghost_prefix: Localpart = "_sip_"
    sip_lookups: Flag = False


class TlsFilesConfig(Section):
    """What `sip.tls` and `trunks.<name>.tls` share."""

    certificate: OptionalPath = None
    private_key: OptionalPath = None
    ca_file: OptionalPath = None


class SipTlsConfig(TlsFilesConfig):
    """`sip.tls`: TLS at the listeners, and towards trunks without files of their own."""

    require_client_certificate: Flag = False


class TrunkTlsConfig(TlsFilesConfig):
    """`trunks.<name>.tls`: TLS towards one trunk."""

    server_name: OptionalHost = ""


class SipConfig(Section):
    """`sip`: the user agent's own addresses."""

    listen: Annotated[tuple[SipListener, ...], Field(min_length=1)] = (
        Listener(transport=Transport.UDP, host="127.0.0.1", port=5060),
        Listener(transport=Transport.TCP, host="127.0.0.1", port=5060),
    )
    advertised_host: OptionalHost = ""
    user_agent: Annotated[str, BeforeValidator(values.line), Field(min_length=1, max_length=80)] = "Trunkline"
    max_requests_per_s: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 200
    tls: SipTlsConfig = SipTlsConfig()


class TrunkConfig(Section):
    """`trunks.<name>`: one way into the telephone network."""

    profile: Text = ""
    server: TrunkServer
    outbound_proxy: OptionalServer = None
    transport: Transport = Transport.UDP
    tls: TrunkTlsConfig = TrunkTlsConfig()
    dns: DnsMode = DnsMode.AUTO
    failover_after_s: Annotated[float, Field(strict=True, ge=0.5, le=32, allow_inf_nan=False)] = 4.0
    large_by_tcp: Flag = False
    follow_redirects: Flag = False
    domain: OptionalHost = ""
    from_domain: OptionalHost = ""
    from_user: FromUser = FromUser.CALLER
    auth: TrunkAuth = TrunkAuth.ADDRESS
    username: Line = ""
    password: Password = SecretStr("")
    password_file: OptionalPath = None
    realm: Line = ""
    register_user: Line = ""
    register_expires_s: Annotated[int, Field(strict=True, ge=60, le=86_400)] = 600
    register_outbound: Flag = False
    sources: tuple[SourceNetwork, ...] = ()
    codecs: Annotated[tuple[TrunkCodec, ...], Field(max_length=len(Codec))] = ()
    ptime_ms: Literal[10, 20, 30, 40, 50, 60] = 20
    srtp: Srtp = SrtpUse.OFF
    srtp_without_tls: Flag = False
    headers: HeaderLines = SecretStr("")
    headers_file: OptionalPath = None
    region: OptionalRegion = ""
    number_format: NumberFormat = NumberFormat.E164
    number_prefix: NumberPrefix = ""
    user_phone: Flag = False
    caller_id: OptionalNumber = ""
    caller_ids: tuple[Number, ...] = ()
    rates: Mapping[Prefix, Price] = Field(default_factory=dict)
    text_price: OptionalPrice = ""
    rate_step_s: Annotated[int, Field(strict=True, ge=1, le=3_600)] = 60
    identity_headers: tuple[IdentityHeader, ...] = (IdentityHeader.ASSERTED,)
    send_names: Flag = True
    trust_identity: Flag = True
    diversion_header: DiversionHeader = DiversionHeader.DIVERSION
    max_calls: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    max_attended: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    max_calls_per_s: Annotated[float, Field(strict=True, ge=0, le=10_000, allow_inf_nan=False)] = 0.0
    max_incoming_per_s: Annotated[float, Field(strict=True, ge=0, le=10_000, allow_inf_nan=False)] = 0.0
    keep_alive_s: KeepAliveSeconds = 0.0
    options_interval_s: SecondsOrNever = 0.0
    accept_transfers: Flag = False
    dtmf: Dtmf = Dtmf.RTP
    texts: Texting = Texting.NONE
    presence_of: Annotated[tuple[Number, ...], Field(max_length=200)] = ()
    options_misses: Annotated[int, Field(strict=True, ge=1, le=20)] = 2
    options_recoveries: Annotated[int, Field(strict=True, ge=1, le=20)] = 3
    reliable: Reliable = Reliable.SUPPORTED
    session_timer: SessionTimer = SessionTimer.SUPPORTED
    session_expires_s: Annotated[int, Field(strict=True, ge=90, le=86_400)] = 1800
    min_se_s: Annotated[int, Field(strict=True, ge=90, le=86_400)] = 90
    early_media: EarlyMedia = EarlyMedia.RINGBACK
    emergency: Flag = False
    join_crossing_calls: Flag = False
    forwards: Flag = False
    voicemail_number: OptionalNumber = ""


class DialRuleConfig(Section):
    """One entry of `numbers.dial_plan`: numbers, and the trunks that carry calls to them."""

    prefixes: tuple[Prefix, ...] = ()
    pattern: NumberPattern = ""
    trunks: Annotated[tuple[Text, ...], Field(min_length=1)]
    choose: Choose = Choose.ORDER
    weights: Mapping[Text, Annotated[int, Field(strict=True, ge=0, le=1_000)]] = Field(default_factory=dict)


class NumbersConfig(Section):
    """`numbers`: how numbers are read and where calls from the telephone network go."""

    default_region: Region = DEFAULT_REGION
    regions: Mapping[Who, Region] = Field(default_factory=dict)
    inbound: Mapping[CalledNumber, InboundNumber] = Field(default_factory=dict)
    dial_plan: tuple[DialRuleConfig, ...] = ()
    caller_ids: Mapping[Who, CallerId] = Field(default_factory=dict)
    blocked: tuple[Prefix, ...] = ()
    time_zone: TimeZone = ""
    address_book: OptionalPath = None
    avatar: OptionalMxc = ""
    emergency: tuple[ShortCode, ...] = ("112", "911", "999", "110", "113", "118", "119", "000", "111")


class OutboundPermission(Section):
    """One entry of `permissions.outbound`: these users may call numbers that begin like this."""

    who: Annotated[tuple[Callers, ...], Field(min_length=1)]
    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    but_not: tuple[Prefix, ...] = ()
    costly: Flag = False
    trunk: Text = ""
    """Empty leaves it to the dial plan, and else to the order of the file."""


class LimitConfig(Section):
    """One entry of `permissions.limits`: how much these users may call. 0, and an empty amount, is no limit."""

    who: Annotated[tuple[Who, ...], Field(min_length=1)]
    together: Flag = False
    call_minutes: Minutes = 0.0
    day_minutes: Minutes = 0.0
    month_minutes: Minutes = 0.0
    call_cost: OptionalPrice = ""
    day_cost: OptionalPrice = ""
    month_cost: OptionalPrice = ""
    calls_at_once: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    attempts_per_minute: Annotated[int, Field(strict=True, ge=0, le=1_000)] = 0


class SuspensionConfig(Section):
    """`permissions.suspension`: when calls look so much like fraud that they are stopped; 0 looks away."""

    countries: Annotated[int, Field(strict=True, ge=0, le=200)] = 8
    sequential: Annotated[int, Field(strict=True, ge=0, le=200)] = 10
    short_calls: Annotated[int, Field(strict=True, ge=0, le=200)] = 20
    hours: Annotated[float, Field(strict=True, gt=0, le=8_760, allow_inf_nan=False)] = 24.0


class PermissionsConfig(Section):
    """`permissions`: who may call what. Nobody may call anything unless it says so here."""

    outbound: tuple[OutboundPermission, ...] = ()
    limits: tuple[LimitConfig, ...] = ()
    forwards_per_day: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 100
    forwards_per_caller: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 10
    texts_per_day: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 100
    currency: Annotated[str, BeforeValidator(values.line), Field(max_length=16)] = ""
    forwarded_minutes: Annotated[float, Field(strict=True, ge=0, le=1_440, allow_inf_nan=False)] = 0.0
    limit_warning_s: Annotated[float, Field(strict=True, ge=0, le=600, allow_inf_nan=False)] = 60.0
    suspension: SuspensionConfig = SuspensionConfig()
    admins: tuple[LocalUser, ...] = ()


class CallsConfig(Section):
    """`calls`: how calls behave."""

    ring_timeout_s: Annotated[float, Field(strict=True, ge=5, le=180, allow_inf_nan=False)] = 90.0
    ring_when: Mapping[Who, RingWhen] = Field(default_factory=dict)
    decline_status: Literal[603, 486, 480, 403] = 603
    """What a declined call looks like to the phone: others would say what is not so, or make a trunk try again."""
    call_waiting: Flag = True
    history_days: Annotated[int, Field(strict=True, ge=0, le=3_650)] = 90
    drain_timeout_s: Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)] = 600.0


class TurnConfig(Section):
    """`media.turn`: servers that carry audio where nothing else gets through."""

    uris: tuple[TurnUri, ...] = ()
    username: Text = ""
    password: Password = SecretStr("")
    password_file: OptionalPath = None
    shared_secret: Password = SecretStr("")
    shared_secret_file: OptionalPath = None


class MediaConfig(Section):
    """`media`: addresses and limits of the audio."""

    engine: PathChoice = PathChoice.AUTO
    workers: Annotated[int, Field(strict=True, ge=0, le=64)] = 0
    webrtc_hosts: tuple[Ip, ...] = ()
    rtp_host: Ip = "127.0.0.1"
    advertised_host: OutsideIps = ()
    ports: Ports = values.PortRange(first=20_000, last=29_999)
    connect_timeout_s: Seconds = 20.0
    rtp_timeout_s: SecondsOrNever = 30.0
    silence_first_s: SecondsOrNever = 30.0
    silence_later_s: SecondsOrNever = 15.0
    rtp_sources: tuple[SourceNetwork, ...] = ()
    private_networks: tuple[SourceNetwork, ...] = ()
    stun_servers: tuple[StunAddress, ...] = ()
    turn: TurnConfig = TurnConfig()
    hold_tone: Flag = False
    hold_music: OptionalPath = None
    rtpengine: Annotated[tuple[ServerAddress, ...], Field(max_length=16)] = ()
    rtpengine_keys: OptionalAddress = None


class StoreConfig(Section):
    """`store`: what must survive a restart."""

    path: FilePath = Path("trunkline.sqlite3")


class Config(Section):
    """The whole file, secrets filled in and relative paths made absolute."""

    homeserver: HomeserverConfig
    appservice: AppserviceConfig
    sip: SipConfig = SipConfig()
    trunks: Mapping[Name, TrunkConfig] = Field(default_factory=dict)
    numbers: NumbersConfig = NumbersConfig()
    groups: Mapping[TargetName, GroupConfig] = Field(default_factory=dict)
    permissions: PermissionsConfig = PermissionsConfig()
    calls: CallsConfig = CallsConfig()
    voicemail: VoicemailConfig = VoicemailConfig()
    announcements: AnnouncementsConfig = AnnouncementsConfig()
    menus: Mapping[TargetName, MenuConfig] = Field(default_factory=dict)
    media: MediaConfig = MediaConfig()
    store: StoreConfig = StoreConfig()
    ops: OpsConfig = OpsConfig()
    logging: LoggingConfig = LoggingConfig()
