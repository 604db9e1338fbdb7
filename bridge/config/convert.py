"""The configuration as the settings of each package, which know nothing of files."""

import uuid
from collections.abc import Mapping
from dataclasses import replace

from bridge.config import values
from bridge.config.dialling import emergency
from bridge.config.model import Config, MediaConfig, TrunkConfig, TurnConfig
from bridge.core.ids import TrunkName
from bridge.matrix.settings import MatrixSettings
from bridge.media.hold_music import hold_tone
from bridge.media.ice_servers import TurnServer
from bridge.media.policy import SipMediaPolicy
from bridge.media.settings import MediaSettings, ServerAddress
from bridge.media.silence_watch import SilenceLimits
from bridge.media.sounds import Sound, read_wav
from bridge.numbers.region import region_plan
from bridge.ops.traces.hep import HepSettings
from bridge.ops.traces.recorder import TraceSettings
from bridge.sip.settings import DialRules, Dtmf, SipSettings, TlsSettings, Trunk, TrunkTls

_INSTANCES = uuid.UUID("6b0c0ad5-3a1f-4f0e-9d0b-6d1b1d7f4c52")
"""The namespace of our instance ids (RFC 9562 §5.5)."""


def matrix_settings(config: Config) -> MatrixSettings:
    """What `bridge.matrix` must be told."""
    appservice = config.appservice
    return MatrixSettings(
        homeserver_url=config.homeserver.url,
        server_name=config.homeserver.server_name,
        appservice_id=appservice.id,
        listen_host=appservice.listen.host,
        listen_port=appservice.listen.port,
        appservice_url=appservice.url,
        as_token=appservice.as_token.get_secret_value(),
        hs_token=appservice.hs_token.get_secret_value(),
        bot_localpart=appservice.bot_localpart,
        ghost_prefix=appservice.ghost_prefix,
        avatar=config.numbers.avatar,
        request_timeout_s=config.homeserver.request_timeout_s,
        puppet_token=config.homeserver.puppet_token.get_secret_value(),
        admin_token=config.homeserver.admin_token.get_secret_value(),
        sip_lookups=appservice.sip_lookups,
        presence=bool(config.calls.ring_when),
    )


def sip_settings(config: Config) -> SipSettings:
    """What `bridge.sip` must be told."""
    return SipSettings(
        listeners=config.sip.listen,
        advertised_host=config.sip.advertised_host,
        user_agent=config.sip.user_agent,
        max_requests_per_s=config.sip.max_requests_per_s,
        tls=TlsSettings(**config.sip.tls.model_dump()),
        trunks=tuple(_trunk(config, name, trunk) for name, trunk in config.trunks.items()),
        emergency=emergency(config),
    )


def _trunk(config: Config, name: TrunkName, trunk: TrunkConfig) -> Trunk:
    next_hop = trunk.outbound_proxy or trunk.server
    behind = trunk.outbound_proxy is not None and not trunk.domain
    return Trunk(
        name=name,
        host=next_hop.host,
        port=next_hop.port,
        outbound_proxy=trunk.outbound_proxy is not None,
        transport=trunk.transport,
        tls=TrunkTls(**trunk.tls.model_dump()),
        dns=trunk.dns,
        failover_after_s=trunk.failover_after_s,
        large_by_tcp=trunk.large_by_tcp,
        follow_redirects=trunk.follow_redirects,
        domain=trunk.server.host if behind else trunk.domain,
        domain_port=trunk.server.port if behind else 0,
        from_domain=trunk.from_domain,
        from_user=trunk.from_user,
        auth=trunk.auth,
        username=trunk.username,
        password=trunk.password.get_secret_value(),
        realm=trunk.realm,
        register_user=trunk.register_user,
        register_expires_s=trunk.register_expires_s,
        instance=_instance(config, name) if trunk.register_outbound else "",
        sources=trunk.sources,
        headers=values.parse_header_lines(trunk.headers.get_secret_value()),
        number_format=trunk.number_format,
        number_prefix=trunk.number_prefix,
        dial_rules=dial_rules(trunk.region or config.numbers.default_region),
        user_phone=trunk.user_phone,
        identity_headers=trunk.identity_headers,
        send_names=trunk.send_names,
        trust_identity=trunk.trust_identity,
        diversion_header=trunk.diversion_header,
        max_calls=trunk.max_calls,
        max_calls_per_s=trunk.max_calls_per_s,
        max_incoming_per_s=trunk.max_incoming_per_s,
        keep_alive_s=trunk.keep_alive_s,
        options_interval_s=trunk.options_interval_s,
        accept_transfers=trunk.accept_transfers,
        dtmf=trunk.dtmf,
        texts=trunk.texts,
        presence_of=trunk.presence_of,
        options_misses=trunk.options_misses,
        options_recoveries=trunk.options_recoveries,
        reliable=trunk.reliable,
        session_timer=trunk.session_timer,
        session_expires_s=trunk.session_expires_s,
        min_se_s=trunk.min_se_s,
    )


def _instance(config: Config, name: TrunkName) -> str:
    """The same after every restart, and another for every bridge and trunk (RFC 5626 §4.1)."""
    place = f"{config.homeserver.server_name}/{config.appservice.id}/{name}"
    return uuid.uuid5(_INSTANCES, place).urn


def dial_rules(region: str) -> DialRules:
    """How numbers are dialled in a region."""
    plan = region_plan(region)
    return DialRules(
        country_code=plan.country_code,
        national_prefix=plan.national_prefix,
        international_prefix=plan.international_prefix,
        abroad=plan.abroad,
    )


def media_settings(config: Config) -> MediaSettings:
    """What `bridge.media` must be told."""
    media = config.media
    return MediaSettings(
        engine=media.engine,
        workers=media.workers,
        webrtc_hosts=media.webrtc_hosts,
        rtp_host=media.rtp_host,
        advertised_hosts=media.advertised_host,
        port_min=media.ports.first,
        port_max=media.ports.last,
        connect_timeout_s=media.connect_timeout_s,
        rtp_timeout_s=media.rtp_timeout_s,
        silence=SilenceLimits(first_s=media.silence_first_s, later_s=media.silence_later_s),
        rtp_sources=media.rtp_sources,
        private_networks=media.private_networks,
        stun_servers=media.stun_servers,
        turn_servers=tuple(_turn_server(media.turn, server) for server in media.turn.uris),
        hold_music=_hold_music(media),
        rtpengines=tuple(ServerAddress(host=server.host, port=server.port) for server in media.rtpengine),
        rtpengine_keys=_server_address(media.rtpengine_keys),
    )


def _turn_server(turn: TurnConfig, server: TurnServer) -> TurnServer:
    return replace(
        server,
        username=turn.username,
        password=turn.password.get_secret_value(),
        shared_secret=turn.shared_secret.get_secret_value(),
    )


def _server_address(address: values.Address | None) -> ServerAddress | None:
    return None if address is None else ServerAddress(host=address.host, port=address.port)


def _hold_music(media: MediaConfig) -> Sound | None:
    if media.hold_music is not None:
        return read_wav(media.hold_music)
    return hold_tone() if media.hold_tone else None


def trace_settings(config: Config) -> TraceSettings:
    """What is kept of each call. The file lies beside the database, which is where we may write."""
    ops, store = config.ops, config.store.path
    server = ops.hep.server
    hep = None
    if server is not None:
        password = ops.hep.password.get_secret_value()
        hep = HepSettings(host=server.host, port=server.port, capture_id=ops.hep.capture_id, password=password)
    return TraceSettings(
        path=store.with_name(f"{store.stem}-traces{store.suffix}") if ops.trace_days else None,
        days=ops.trace_days,
        max_mb=ops.trace_mb,
        secret_headers=secret_headers(config),
        hep=hep,
    )


def secret_headers(config: Config) -> frozenset[str]:
    """The header fields that trunks are given, which may hold secrets."""
    fields = (values.parse_header_lines(trunk.headers.get_secret_value()) for trunk in config.trunks.values())
    return frozenset(name for lines in fields for name, _ in lines)


def media_policies(config: Config) -> Mapping[TrunkName, SipMediaPolicy]:
    """What each trunk wants of the audio of its calls."""
    return {name: _media_policy(trunk) for name, trunk in config.trunks.items()}


def _media_policy(trunk: TrunkConfig) -> SipMediaPolicy:
    return SipMediaPolicy(
        codecs=trunk.codecs,
        ptime_ms=trunk.ptime_ms,
        srtp=trunk.srtp,
        digits_in_rtp=trunk.dtmf is not Dtmf.INFO,
        digits_as_tones=trunk.dtmf is Dtmf.TONES,
    )
