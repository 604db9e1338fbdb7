"""The configuration as the settings of each package, which know nothing of files."""

from collections.abc import Mapping

from bridge.config.model import Config, TrunkConfig
from bridge.core.ids import TrunkName
from bridge.matrix.settings import MatrixSettings
from bridge.media.policy import SipMediaPolicy
from bridge.media.settings import MediaSettings
from bridge.sip.settings import SipSettings, TlsSettings, Trunk, TrunkTls


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
        request_timeout_s=config.homeserver.request_timeout_s,
        puppet_token=config.homeserver.puppet_token.get_secret_value(),
        admin_token=config.homeserver.admin_token.get_secret_value(),
        sip_lookups=appservice.sip_lookups,
    )


def sip_settings(config: Config) -> SipSettings:
    """What `bridge.sip` must be told."""
    return SipSettings(
        listeners=config.sip.listen,
        advertised_host=config.sip.advertised_host,
        user_agent=config.sip.user_agent,
        max_requests_per_s=config.sip.max_requests_per_s,
        tls=TlsSettings(**config.sip.tls.model_dump()),
        trunks=tuple(_trunk(name, trunk) for name, trunk in config.trunks.items()),
    )


def _trunk(name: TrunkName, trunk: TrunkConfig) -> Trunk:
    return Trunk(
        name=name,
        host=trunk.server.host,
        port=trunk.server.port,
        transport=trunk.transport,
        tls=TrunkTls(**trunk.tls.model_dump()),
        dns=trunk.dns,
        failover_after_s=trunk.failover_after_s,
        follow_redirects=trunk.follow_redirects,
        domain=trunk.domain,
        auth=trunk.auth,
        username=trunk.username,
        password=trunk.password.get_secret_value(),
        realm=trunk.realm,
        register_user=trunk.register_user,
        register_expires_s=trunk.register_expires_s,
        sources=trunk.sources,
        assert_identity=trunk.assert_identity,
        trust_identity=trunk.trust_identity,
        options_interval_s=trunk.options_interval_s,
        accept_transfers=trunk.accept_transfers,
        dtmf=trunk.dtmf,
        options_misses=trunk.options_misses,
        options_recoveries=trunk.options_recoveries,
        reliable=trunk.reliable,
        session_timer=trunk.session_timer,
        session_expires_s=trunk.session_expires_s,
        min_se_s=trunk.min_se_s,
    )


def media_settings(config: Config) -> MediaSettings:
    """What `bridge.media` must be told."""
    media = config.media
    return MediaSettings(
        webrtc_hosts=media.webrtc_hosts,
        rtp_host=media.rtp_host,
        advertised_host=media.advertised_host,
        port_min=media.ports.first,
        port_max=media.ports.last,
        connect_timeout_s=media.connect_timeout_s,
        rtp_timeout_s=media.rtp_timeout_s,
        rtp_sources=media.rtp_sources,
    )


def media_policies(config: Config) -> Mapping[TrunkName, SipMediaPolicy]:
    """What each trunk wants of the audio of its calls."""
    return {name: _media_policy(trunk) for name, trunk in config.trunks.items()}


def _media_policy(trunk: TrunkConfig) -> SipMediaPolicy:
    return SipMediaPolicy(codecs=trunk.codecs, ptime_ms=trunk.ptime_ms, srtp=trunk.srtp)
