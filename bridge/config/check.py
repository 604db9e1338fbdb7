"""What no setting shows on its own: settings that contradict each other, and settings that surely are not meant."""

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr

from bridge.config.announcements import LONGEST_S
from bridge.config.certificates import certificate_warnings, tls_contradictions
from bridge.config.dialling import dialling_contradictions, idle_limits
from bridge.config.document import Document, Location, dotted
from bridge.config.faults import Fault
from bridge.config.identities import parse_called
from bridge.config.menus import menu_contradictions, spoken
from bridge.config.model import Config, TrunkConfig, TurnConfig
from bridge.config.secrets import read_secret
from bridge.config.targets import long_hunts, target_contradictions
from bridge.core.ids import TrunkName
from bridge.media import native_path
from bridge.media.advertised import advertised
from bridge.media.policy import SrtpUse
from bridge.media.rtpengine.player import wav_blob
from bridge.media.settings import PathChoice
from bridge.media.sounds import SoundError, read_wav
from bridge.media.speech_program import PROGRAM, can_speak
from bridge.ops.spans.sending import EXTRA, can_send
from bridge.sip.settings import DnsMode, Dtmf, Transport, TrunkAuth

MIN_TOKEN = 16
_NARROWEST = {4: 8, 6: 16}
"""Prefix lengths by IP version: no carrier sends from more than this."""


def contradictions(document: Document, config: Config) -> Iterator[Fault]:
    """Every fault that takes more than one setting to see."""
    spellings = {number: key for key, number in _written_numbers(document, config.numbers.default_region)}
    for location, message in findings(config):
        yield document.fault(_as_written(location, spellings), message)


def doubled_numbers(document: Document, region: str) -> Iterator[Fault]:
    """Two spellings of one number: the file would say two things about where its calls go."""
    seen: dict[str, str] = {}
    for key, number in _written_numbers(document, region):
        if number in seen:
            yield document.fault(("numbers", "inbound", key), f"is the same number as '{seen[number]}'")
        seen.setdefault(number, key)


def _written_numbers(document: Document, region: str) -> Iterator[tuple[str, str]]:
    """Every number that leads to a user, as the file has it and as calls have it."""
    numbers = document.tree.get("numbers")
    inbound = numbers.get("inbound") if isinstance(numbers, dict) else None
    for key in inbound if isinstance(inbound, dict) else ():
        try:
            yield key, parse_called(key, region)
        except ValueError:
            continue  # the model reports it


def _as_written(location: Location, spellings: Mapping[str, str]) -> Location:
    """A setting under the name that the file gives it, so that it is found there."""
    match location:
        case ("numbers", "inbound", str(number), *rest):
            return "numbers", "inbound", spellings.get(number, number), *rest
        case _:
            return location


Finding = tuple[Location, str]


def findings(config: Config) -> Iterator[Finding]:
    """What contradicts itself, wherever the configuration comes from."""
    yield from _appservice(config)
    yield from _sip(config)
    yield from tls_contradictions(config)
    for name, trunk in config.trunks.items():
        yield from _trunk(config, name, trunk)
    yield from number_findings(config)
    yield from _media(config)
    yield from _voicemail(config)
    yield from _announcements(config)
    yield from menu_contradictions(config.menus, config.numbers.inbound)
    yield from _places(config)
    yield from _console(config)
    yield from _admin(config)
    yield from _test_calls(config)
    if config.ops.telemetry.otlp_url and not can_send():
        yield ("ops", "telemetry", "otlp_url"), f"needs what is not installed: pip install '{EXTRA}'"


def number_findings(config: Config) -> Iterator[Finding]:
    """Of these, what concerns numbers and who may call which."""
    yield from target_contradictions(config)
    yield from dialling_contradictions(config)


def _voicemail(config: Config) -> Iterator[Finding]:
    """Greetings that cannot be played."""
    box = config.voicemail
    own: list[tuple[Location, Path | None]] = [
        (("voicemail", "greetings", user), path) for user, path in box.greetings.items()
    ]
    for location, path in [(("voicemail", "greeting"), box.greeting), *own]:
        if path is not None:
            try:
                read_wav(path)
            except SoundError as error:
                yield location, f"{path} {error}"


def _announcements(config: Config) -> Iterator[Finding]:
    """Recordings that cannot be played."""
    for what, path in config.announcements.recordings.items():
        if path is not None:
            try:
                read_wav(path, longest_s=LONGEST_S)
            except SoundError as error:
                yield ("announcements", "recordings", what), f"{path} {error}"


def _appservice(config: Config) -> Iterator[Finding]:
    appservice = config.appservice
    if appservice.as_token == appservice.hs_token:
        yield ("appservice", "hs_token"), "must differ from as_token"
    homeserver = config.homeserver
    if homeserver.puppet_token.get_secret_value() and homeserver.admin_token.get_secret_value():
        yield ("homeserver", "admin_token"), "is not needed beside puppet_token: keep one of them"
    if homeserver.puppet_token.get_secret_value() and homeserver.puppet_token == appservice.as_token:
        yield ("homeserver", "puppet_token"), "must differ from appservice.as_token"
    if appservice.listen.port == 0 and not appservice.url:
        yield ("appservice", "url"), "is required when listening on port 0: the homeserver must know a port that stays"
    if _is_any(appservice.listen.host) and not appservice.url:
        yield ("appservice", "url"), "is required when listening on every address: the homeserver must know one of them"


def _sip(config: Config) -> Iterator[Finding]:
    listen = config.sip.listen
    for index, listener in enumerate(listen):
        if listener.port and listener in listen[:index]:
            yield ("sip", "listen", index), "is listed twice"
        if _is_any(listener.host) and not config.sip.advertised_host:
            message = "is required when listening on every address: trunks must know one of them"
            yield ("sip", "advertised_host"), message
            return


def _trunk(config: Config, name: TrunkName, trunk: TrunkConfig) -> Iterator[Finding]:
    here = ("trunks", name)
    if trunk.auth is not TrunkAuth.ADDRESS:
        if not trunk.username:
            yield (*here, "username"), f"is required with auth: {trunk.auth}"
        if not trunk.password.get_secret_value():
            yield (*here, "password"), f"is required with auth: {trunk.auth}; set it, password_file or the environment"
    if not _may_call_us(config, trunk):
        yield (*here, "transport"), f"is {trunk.transport}, but sip.listen has no {trunk.transport} address"
    next_hop = trunk.outbound_proxy or trunk.server
    if not _same_family(config, trunk, next_hop.host):
        yield (*here, "server"), f"is an IPv6 address, but sip.listen has no {trunk.transport} address of IPv6"
    if len(set(trunk.codecs)) < len(trunk.codecs):
        yield (*here, "codecs"), "names a codec twice"
    if trunk.min_se_s > trunk.session_expires_s:
        yield (*here, "min_se_s"), f"must be at most session_expires_s, which is {trunk.session_expires_s}"
    if trunk.dns in (DnsMode.NAPTR, DnsMode.SRV) and (next_hop.port or _version(next_hop.host)):
        yield (*here, "dns"), f"is {trunk.dns}, but a server with a port or a numeric address is not sought in the DNS"
    if _shows_keys(trunk) and not trunk.srtp_without_tls:
        yield (*here, "srtp"), "needs transport: tls, or everybody on the way can read the keys (see srtp_without_tls)"


def _may_call_us(config: Config, trunk: TrunkConfig) -> bool:
    """A registrar reaches us by the TLS connection that we opened, so that no certificate of our own is needed."""
    if trunk.transport is Transport.TLS and trunk.auth is TrunkAuth.REGISTER:
        return True
    return any(listener.transport is trunk.transport for listener in config.sip.listen)


def _same_family(config: Config, trunk: TrunkConfig, host: str) -> bool:
    """Whether a UDP socket of ours can reach a server with an IPv6 address; connections are opened by any socket."""
    if trunk.transport is not Transport.UDP or _version(host) != 6:
        return True
    return any(_version(listener.host) == 6 for listener in config.sip.listen if listener.transport is Transport.UDP)


def _shows_keys(trunk: TrunkConfig) -> bool:
    """Whether keys of audio would be sent where they can be read (RFC 4568 §7)."""
    return trunk.srtp is not SrtpUse.OFF and trunk.transport is not Transport.TLS


def _media(config: Config) -> Iterator[Finding]:
    media = config.media
    if media.engine is PathChoice.NATIVE and native_path.load() is None:
        yield ("media", "engine"), "is native, and the package trunkline-native is not installed"
    if _is_any(media.rtp_host) and advertised(media.rtp_host, media.advertised_host) == media.rtp_host:
        yield ("media", "advertised_host"), "is required when rtp_host is every address: phones must know one of them"
    if media.turn.uris and not _turn_secret(media.turn):
        message = "is required with uris: set it, shared_secret, their files or the environment"
        yield ("media", "turn", "password"), message
    if media.hold_music is not None:
        try:
            music = read_wav(media.hold_music)
            if media.engine is PathChoice.RTPENGINE and wav_blob(music) is None:
                yield ("media", "hold_music"), "is longer than the 8 seconds that an rtpengine server takes"
        except SoundError as error:
            yield ("media", "hold_music"), f"{media.hold_music} {error}"
    if media.engine is PathChoice.RTPENGINE:
        yield from _rtpengine(config)
    for index, listener in enumerate(config.sip.listen):
        if listener.transport is Transport.UDP and media.ports.first <= listener.port <= media.ports.last:
            yield ("sip", "listen", index), "its port lies inside media.ports"


def _turn_secret(turn: TurnConfig) -> bool:
    return bool((turn.username and turn.password.get_secret_value()) or turn.shared_secret.get_secret_value())


def _rtpengine(config: Config) -> Iterator[Finding]:
    """What servers need, and what they cannot do."""
    media = config.media
    if not media.rtpengine:
        yield ("media", "rtpengine"), "is empty, and engine is rtpengine"
    if len(set(media.rtpengine)) < len(media.rtpengine):
        yield ("media", "rtpengine"), "names a server twice"
    for name, trunk in config.trunks.items():
        if trunk.dtmf is Dtmf.INFO and media.rtpengine_keys is None:
            yield ("trunks", name, "dtmf"), "needs media.rtpengine_keys, where servers report keys"
        if trunk.dtmf is Dtmf.TONES:
            yield ("trunks", name, "dtmf"), "is tones, which rtpengine servers are not asked for"
    for menu in config.menus:
        yield ("menus", menu), "cannot be with rtpengine, whose servers play eight seconds and take no keys in menus"
    if config.voicemail.users:
        yield ("voicemail", "users"), "cannot be with rtpengine, whose servers record on disks of their own"


def _places(config: Config) -> Iterator[Finding]:
    if config.ops.listen == config.appservice.listen and config.ops.listen.port:
        yield ("ops", "listen"), "is the same address as appservice.listen"
    book = config.numbers.address_book
    if book is not None and not book.is_file():
        yield ("numbers", "address_book"), f"{book} is not there"
    for location, path in ((("store", "path"), config.store.path), (("ops", "call_records"), config.ops.call_records)):
        if path is not None and not path.parent.is_dir():
            yield location, f"the directory {path.parent} does not exist"


def _console(config: Config) -> Iterator[Finding]:
    yield from _token_of_ours(config, ("ops", "console", "token"), config.ops.console.token)


def _admin(config: Config) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name, file in config.ops.admin.tokens.items():
        here: Location = ("ops", "admin", "tokens", name)
        try:
            token = read_secret(file)
        except ValueError as error:
            yield here, str(error)
            continue
        yield from _token_of_ours(config, here, SecretStr(token))
        if token in seen:
            yield here, f"must differ from that of {seen[token]}, or nobody knows who has done what"
        seen[token] = name


def _token_of_ours(config: Config, here: Location, secret: SecretStr) -> Iterator[Finding]:
    """What somebody logs in with on the ops port."""
    token, appservice = secret.get_secret_value(), config.appservice
    if token and len(token) < MIN_TOKEN:
        yield here, f"must have at least {MIN_TOKEN} characters: whoever guesses it has every call"
    if token and token in (appservice.as_token.get_secret_value(), appservice.hs_token.get_secret_value()):
        yield here, "must differ from the tokens of appservice"


def _test_calls(config: Config) -> Iterator[Finding]:
    """A self-call that has nowhere to go."""
    tests = config.ops.test_calls
    in_the_clear = any(listener.transport is not Transport.TLS for listener in config.sip.listen)
    if tests.every_s and not tests.number and not in_the_clear:
        yield ("ops", "test_calls", "number"), "is needed where sip.listen has TLS alone, which the echo does not speak"
    if tests.required and not tests.every_s:
        yield ("ops", "test_calls", "every_s"), "is needed with required: true, or there is nothing to judge by"


def warnings(config: Config) -> list[str]:
    """What is allowed and yet perhaps not meant, one sentence each."""
    return [
        *_reach(config),
        *long_hunts(config),
        *_callers(config),
        *_loopback(config),
        *idle_limits(config),
        *_exposed_secrets(config),
        *_exposed_console(config),
        *_lenient_servers(config),
        *_unused_media(config),
        *_unspoken(config),
        *certificate_warnings(config),
    ]


def _unspoken(config: Config) -> Iterator[str]:
    if not can_speak():
        for setting in spoken(config.menus):
            yield f"{setting}: is silent, for {PROGRAM} is not installed; install it, or give a WAV file instead"


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
        if _shows_keys(trunk):
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


def _loopback(config: Config) -> Iterator[str]:
    """A trunk elsewhere with sockets that only this machine can reach: the call is answered and nobody hears it."""
    if all(_is_loopback(trunk.server.host) for trunk in config.trunks.values()):
        return
    if all(_is_loopback(listener.host) for listener in config.sip.listen):
        yield "sip.listen: has only addresses of this machine, and a trunk elsewhere cannot reach them"
    if _is_loopback(config.media.rtp_host) and config.media.engine is not PathChoice.RTPENGINE:
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
    if _is_loopback(config.ops.listen.host):
        return
    for name, is_on in (("console", config.ops.console.is_on), ("admin", bool(config.ops.admin.tokens))):
        if is_on:
            yield f"ops.{name}: is served in the clear on ops.listen, so put a proxy with TLS in front of it"


def _readable_by_others(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)


def _version(host: str) -> int:
    """4 or 6; 0 for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
