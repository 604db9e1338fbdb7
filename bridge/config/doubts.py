"""Settings that are allowed and yet perhaps not meant, one sentence each."""

import stat
from collections.abc import Iterator
from pathlib import Path

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from bridge.config.certificates import certificate_warnings
from bridge.config.check import shows_keys
from bridge.config.dialling import idle_limits, limitless_callers
from bridge.config.document import Location, dotted
from bridge.config.menus import spoken_in_menus
from bridge.config.model import Config
from bridge.config.targets import long_hunts, people
from bridge.config.voicemail import greetings_of_nobody, spoken_greetings
from bridge.core.addresses import is_loopback
from bridge.core.ids import TrunkName
from bridge.media.settings import PathChoice
from bridge.media.speech_program import PROGRAM, can_speak
from bridge.sip.settings import TrunkAuth

_SHORTEST_EXTENSION = 3
_NARROWEST = {4: 8, 6: 16}
"""Prefix lengths by IP version: no carrier sends from more than this."""


def warnings(config: Config) -> list[str]:
    """All of them."""
    return [
        *_reach(config),
        *long_hunts(config),
        *_callers(config),
        *_other_servers(config),
        *_missing_pluses(config),
        *_loopback(config),
        *idle_limits(config),
        *limitless_callers(config),
        *_exposed_secrets(config),
        *_exposed_console(config),
        *_lenient_servers(config),
        *_unused_media(config),
        *_unspoken(config),
        *greetings_of_nobody(config.voicemail),
        *_whole_shares(config),
        *certificate_warnings(config),
    ]


def _unspoken(config: Config) -> Iterator[str]:
    if not can_speak():
        for setting in (*spoken_in_menus(config.menus), *spoken_greetings(config.voicemail)):
            yield f"{setting}: is not heard, for {PROGRAM} is not installed; install it, or give a WAV file instead"


def _whole_shares(config: Config) -> Iterator[str]:
    for name, trunk in config.trunks.items():
        if 0 < trunk.max_calls <= trunk.max_attended:
            yield f"trunks.{name}.max_attended: is no less than max_calls, so a flood into menus leaves people no call"


def _lenient_servers(config: Config) -> Iterator[str]:
    if config.media.engine is PathChoice.RTPENGINE and config.media.rtp_sources:
        yield (
            "media.rtp_sources: an rtpengine server takes audio from anybody, not from these networks alone, "
            "for three seconds after each description"
        )


def _unused_media(config: Config) -> Iterator[str]:
    """What is meant for another engine."""
    media = config.media
    if media.engine is PathChoice.RTPENGINE:
        for name, value in (("stun_servers", media.stun_servers), ("turn", media.turn.uris)):
            if value:
                yield f"media.{name}: is never used with engine: rtpengine, whose servers clients reach directly"
    elif media.rtpengine:
        yield f"media.rtpengine: is never used with engine: {media.engine}"


def _reach(config: Config) -> Iterator[str]:
    if not config.trunks:
        yield "trunks: there is none, so no call can be made or taken"
    if not config.permissions.outbound:
        yield "permissions.outbound: nobody may call out"
    if not config.numbers.inbound:
        yield "numbers.inbound: no number leads to a user, so nobody can be called"
    if not any(trunk.emergency for trunk in config.trunks.values()):
        yield "trunks: none is marked with 'emergency: true', so calls to emergency numbers are refused"
    for name, trunk in config.trunks.items():
        if config.permissions.outbound and not trunk.caller_id:
            yield f"{dotted(('trunks', name, 'caller_id'))}: is not set, so calls through this trunk are anonymous"
        if shows_keys(trunk):
            yield f"{dotted(('trunks', name, 'srtp'))}: the keys are sent in the clear, for whoever is on the way"
        if trunk.auth is TrunkAuth.ADDRESS and trunk.password.get_secret_value():
            yield f"{dotted(('trunks', name, 'password'))}: is never used with auth: address"


def _callers(config: Config) -> Iterator[str]:
    """Who may call in, where that is everybody, or where two trunks look the same."""
    seen: dict[tuple[object, ...], TrunkName] = {}
    for name, trunk in config.trunks.items():
        if any(network.prefixlen < _NARROWEST[network.version] for network in trunk.sources):
            yield f"{dotted(('trunks', name, 'sources'))}: is a large part of the Internet, and all of it may call in"
        server = trunk.outbound_proxy or trunk.server
        looks = (server.host.lower(), server.port, trunk.transport, trunk.domain.lower(), trunk.register_user)
        if looks in seen and trunk.auth is not TrunkAuth.REGISTER:
            yield f"{dotted(('trunks', name, 'server'))}: calls from there are taken for calls of trunks.{seen[looks]}"
        seen.setdefault(looks, name)


def _other_servers(config: Config) -> Iterator[str]:
    """Servers whose users are named as if they were ours, as an example that was left in the file does."""
    ours = config.homeserver.server_name
    seen: dict[str, str] = {}
    for place, who in (*people(config), *_callers_out(config)):
        seen.setdefault(who.partition(":")[2] or who, f"{dotted(place)}: '{who}'")
    for server, named in seen.items():
        if server != ours:
            yield f"{named} is not of homeserver.server_name, which is '{ours}'"


def _callers_out(config: Config) -> Iterator[tuple[Location, str]]:
    """Whose calls `permissions.outbound` is about; rooms may lie anywhere."""
    for index, permission in enumerate(config.permissions.outbound):
        yield from ((("permissions", "outbound", index, "who"), who) for who in permission.who if who[0] != "!")


def _missing_pluses(config: Config) -> Iterator[str]:
    """A country code alone: without a plus it is a whole number, and a very short one."""
    for index, permission in enumerate(config.permissions.outbound):
        for prefix in permission.prefixes:
            if len(prefix) < _SHORTEST_EXTENSION and prefix.isdigit() and int(prefix) in COUNTRY_CODE_TO_REGION_CODE:
                where = dotted(("permissions", "outbound", index, "prefixes"))
                yield f"{where}: '{prefix}' is one whole number; the numbers that begin with it are '+{prefix}'"


def _loopback(config: Config) -> Iterator[str]:
    """A trunk elsewhere with sockets that only this machine can reach: the call is answered and nobody hears it."""
    if all(is_loopback(trunk.server.host) for trunk in config.trunks.values()):
        return
    if all(is_loopback(listener.host) for listener in config.sip.listen):
        yield "sip.listen: has only addresses of this machine, and a trunk elsewhere cannot reach them"
    if is_loopback(config.media.rtp_host) and config.media.engine is not PathChoice.RTPENGINE:
        yield "media.rtp_host: is an address of this machine only, so a trunk elsewhere will not be heard"


def _exposed_secrets(config: Config) -> Iterator[str]:
    appservice, homeserver = config.appservice, config.homeserver
    files = [appservice.as_token_file, appservice.hs_token_file, config.sip.tls.private_key]
    files += [homeserver.puppet_token_file, homeserver.admin_token_file]
    files += [config.media.turn.password_file, config.media.turn.shared_secret_file]
    files += [config.ops.console.token_file, config.ops.hep.password_file]
    files += config.ops.admin.tokens.values()
    for trunk in config.trunks.values():
        files += [trunk.password_file, trunk.headers_file, trunk.tls.private_key]
    for file in files:
        if file is not None and _readable_by_others(file):
            yield f"{file}: every user of this machine can read it; chmod o-rwx {file}"


def _exposed_console(config: Config) -> Iterator[str]:
    if is_loopback(config.ops.listen.host):
        return
    for name, is_on in (("console", config.ops.console.is_on), ("admin", bool(config.ops.admin.tokens))):
        if is_on:
            yield f"ops.{name}: is served in the clear on ops.listen, so put a proxy with TLS in front of it"


def _readable_by_others(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
