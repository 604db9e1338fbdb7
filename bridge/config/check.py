"""What no setting shows on its own: settings that contradict each other."""

import ipaddress
from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from bridge.config.announcements import LONGEST_S
from bridge.config.certificates import tls_contradictions
from bridge.config.dialling import dialling_contradictions
from bridge.config.document import Document, Location
from bridge.config.faults import Fault
from bridge.config.identities import parse_called
from bridge.config.menus import menu_contradictions
from bridge.config.model import Config, TrunkConfig, TurnConfig
from bridge.config.secrets import read_secret
from bridge.config.targets import target_contradictions
from bridge.config.voicemail import unplayable_greetings
from bridge.core.addresses import is_every
from bridge.core.ids import TrunkName
from bridge.media import native_path
from bridge.media.advertised import advertised
from bridge.media.policy import SrtpUse
from bridge.media.rtpengine.player import wav_blob
from bridge.media.settings import PathChoice
from bridge.media.sounds import SoundError, read_wav
from bridge.ops.spans.sending import EXTRA, can_send
from bridge.sip.settings import DnsMode, Dtmf, Transport, TrunkAuth

MIN_TOKEN = 16


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
    yield from unplayable_greetings(config.voicemail)
    yield from _announcements(config)
    yield from menu_contradictions(config.menus, config.numbers.inbound)
    yield from _places(config)
    yield from _console(config)
    yield from _admin(config)
    yield from _test_calls(config)
    if config.ops.telemetry.otlp_url and not can_send():
        yield (
            ("ops", "telemetry", "otlp_url"),
            f"needs what is not installed: pip install '{EXTRA}' where Trunkline's source is",
        )


def number_findings(config: Config) -> Iterator[Finding]:
    """Of these, what concerns numbers and who may call which."""
    yield from target_contradictions(config)
    yield from dialling_contradictions(config)


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
    if is_every(appservice.listen.host) and not appservice.url:
        yield ("appservice", "url"), "is required when listening on every address: the homeserver must know one of them"


def _sip(config: Config) -> Iterator[Finding]:
    listen = config.sip.listen
    for index, listener in enumerate(listen):
        if listener.port and listener in listen[:index]:
            yield ("sip", "listen", index), "is listed twice"
        if is_every(listener.host) and not config.sip.advertised_host:
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
    if shows_keys(trunk) and not trunk.srtp_without_tls:
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


def shows_keys(trunk: TrunkConfig) -> bool:
    """Whether keys of audio would be sent where they can be read (RFC 4568 §7)."""
    return trunk.srtp is not SrtpUse.OFF and trunk.transport is not Transport.TLS


def _media(config: Config) -> Iterator[Finding]:
    media = config.media
    if media.engine is PathChoice.NATIVE and native_path.load() is None:
        yield ("media", "engine"), "is native, and the package trunkline-native is not installed"
    if is_every(media.rtp_host) and advertised(media.rtp_host, media.advertised_host) == media.rtp_host:
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


def _version(host: str) -> int:
    """4 or 6; 0 for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0
