"""Text of the configuration file as addresses and files. A parser raises `ValueError` with words for the admin."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bridge.media.ice_servers import StunServer, TurnServer, TurnTransport
from bridge.sip.settings import Listener, Network, Transport

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
"""Of a host name (RFC 1123 §2.1), and underscores: names in networks of containers have them, and resolve."""
_MAX_NAME = 253
_STUN_PORT, _STUNS_PORT = 3478, 5349
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}\Z")
_OUR_HEADERS = (
    "accept allow authorization call-id contact content-disposition content-encoding content-length content-type cseq "
    "diversion from history-info max-forwards min-se p-asserted-identity p-preferred-identity path privacy "
    "proxy-authorization proxy-require record-route referred-by remote-party-id replaces require route rseq "
    "session-expires supported to user-agent via c d e f i k l m o r s t u v x"
)
"""Header fields that calls have anyway, with their short forms: a second one would contradict them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and a port to listen on or to connect to."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """Ports from `first` to `last`, both included."""

    first: int
    last: int


def text(value: object) -> str:
    """`value` if it is text. YAML reads a bare +15550100 as a number and a bare NO as false, hence the hint."""
    if isinstance(value, str):
        return value
    raise ValueError(f"expected text, found {shown(value)}{quoting_hint(value)}")


def line(value: object) -> str:
    """Text that can be sent in a header field: whatever would end its line early is a mistake here."""
    word = text(value)
    if not word.isprintable():
        raise ValueError("must be one line, without control characters")
    return word


def shown(value: object) -> str:
    """A value as the admin would recognise it, cut to a bearable length."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case dict():
            return "a group of settings"
        case list() | tuple():
            return "a list"
        case _:
            word = str(value)
            return f"'{word[:60]}…'" if len(word) > 60 else f"'{word}'"


def quoting_hint(value: object) -> str:
    """Words that say how to make YAML read a scalar as text."""
    return ": put it in quotes" if isinstance(value, bool | int | float) else ""


def parse_port(word: str) -> int:
    """A port number; 0 takes a free one."""
    if not (word.isascii() and word.isdigit()) or int(word) > 65535:
        raise ValueError(f"expected a port from 0 to 65535, found '{word}'")
    return int(word)


def parse_host(word: str) -> str:
    """A host name, an IPv4 address, or an IPv6 address with or without brackets (returned without).

    What ends in a number is an address, or none: nobody could find such a name (RFC 1123 §2.1).
    """
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    if ":" in bare:
        return parse_ip(bare)
    name = bare.removesuffix(".")
    labels = name.split(".")
    if labels[-1].isdigit():
        return parse_ip(bare)
    if len(name) > _MAX_NAME or not all(map(_LABEL.match, labels)):
        raise ValueError(
            f"expected a host name or an address, found {shown(word)}: a name is made of letters, digits, "
            "hyphens and underscores, with single dots between its parts, which are 63 characters long at most"
        )
    return bare


def parse_ip(value: object) -> str:
    """An IPv4 or IPv6 address: sockets of audio are bound to addresses, never to names."""
    word = text(value)
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise ValueError(f"expected an address such as 192.0.2.10, found '{word}'") from None


def parse_optional_host(value: object) -> str:
    """A host, or nothing."""
    word = text(value)
    return parse_host(word) if word else ""


def parse_outside_ips(value: object) -> tuple[str, ...]:
    """An address, one of each version of IP, or nothing."""
    words = list(value) if isinstance(value, list | tuple) else [value] if value != "" else []
    found = tuple(parse_ip(word) for word in words)
    if len({":" in host for host in found}) < len(found):
        raise ValueError("expected one address, or one of IPv4 and one of IPv6")
    return found


def parse_stun_server(value: object) -> StunServer:
    """`host` or `host:port`, with or without `stun:` before it (RFC 7064)."""
    address = parse_server(text(value).removeprefix("stun:"))
    return StunServer(host=address.host, port=address.port or _STUN_PORT)


def parse_turn_uri(value: object) -> TurnServer:
    """`turn:host:port?transport=udp`, `turns:host` (RFC 7065)."""
    word = text(value)
    scheme, colon, rest = word.partition(":")
    place, _, query = rest.partition("?")
    transports = {"": "udp", "transport=udp": "udp", "transport=tcp": "tcp"}
    secure = scheme == "turns"
    if scheme not in ("turn", "turns") or not colon or query not in transports or (secure and query.endswith("udp")):
        raise ValueError(f"expected an address such as turn:turn.example.org:3478?transport=udp, found {shown(word)}")
    address = parse_server(place)
    transport = TurnTransport.TLS if secure else TurnTransport(transports[query])
    port = address.port or (_STUNS_PORT if secure else _STUN_PORT)
    return TurnServer(host=address.host, port=port, transport=transport)


def parse_address(value: object) -> Address:
    """`host:port`, `[2001:db8::1]:port`."""
    host, colon, port = text(value).rpartition(":")
    if not colon or not host:
        raise ValueError(f"expected host:port, found {shown(value)}")
    return Address(host=parse_host(host), port=parse_port(port))


def parse_server_address(value: object) -> Address:
    """`host:port` to send to."""
    address = parse_address(value)
    if not address.port:
        raise ValueError("expected a port from 1 to 65535, found 0")
    return address


def parse_optional_address(value: object) -> Address | None:
    """`host:port` to send to, or nothing."""
    return parse_server_address(value) if text(value) else None


def header_name(word: str) -> str:
    """The name of an HTTP or SIP header field."""
    if not _TOKEN.match(word):
        raise ValueError(f"expected the name of a header field, found '{word}'")
    return word


def parse_server(value: object) -> Address:
    """`host` or `host:port` of a trunk; 0 when no port is given, for then the DNS may name it (RFC 3263 §4.2)."""
    word = text(value)
    if "@" in word:
        raise ValueError("expected a host or host:port, without a user name or password")
    if word.lower().startswith(("sip:", "sips:", "tel:")) or "://" in word:
        raise ValueError(f"expected a host or host:port, not a URI, found {shown(word)}; see transport")
    bare_ipv6 = word.count(":") > 1 and not word.startswith("[")
    if bare_ipv6 or ":" not in word or word.endswith("]"):
        return Address(host=parse_host(word), port=0)
    return parse_address(word)


def parse_optional_server(value: object) -> Address | None:
    """A host with or without a port, or nothing."""
    return parse_server(value) if text(value) else None


def parse_header_lines(lines: str) -> tuple[tuple[str, str], ...]:
    """`Name: value` on each line; a value may be a secret, and no fault shows it."""
    fields = [line.partition(":") for line in lines.splitlines() if line.strip()]
    for name, colon, value in fields:
        if not colon or not _TOKEN.match(name) or not value.strip().isprintable() or not value.strip():
            raise ValueError("expected lines such as 'X-Token: abc', each a header field and its value")
        if name.lower() in _OUR_HEADERS.split():
            raise ValueError(f"{name} is a header field that Trunkline writes itself")
    return tuple((name, value.strip()) for name, _, value in fields)


def parse_listener(value: object) -> Listener:
    """`udp:host:port`, `tcp:host:port` or `tls:host:port`."""
    transport, _, rest = text(value).partition(":")
    known = [member.value for member in Transport]
    if transport not in known or ":" not in rest:
        raise ValueError(f"expected {' or '.join(f'{name}:address:port' for name in known)}, found {shown(value)}")
    address = parse_address(rest)
    return Listener(transport=Transport(transport), host=parse_ip(address.host), port=address.port)


def parse_keep_alive(value: object) -> float:
    """Seconds between two pings; 0 for none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and (value == 0 or 10 <= value <= 3600):
        return float(value)
    raise ValueError(f"expected 0, or 10 to 3600 seconds, found {shown(value)}")


def parse_interval(value: object) -> float:
    """Seconds between two calls of the bridge to itself; 0 for none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and (value == 0 or 10 <= value <= 86_400):
        return float(value)
    raise ValueError(f"expected 0, or 10 to 86400 seconds, found {shown(value)}")


def parse_network(value: object) -> Network:
    """`192.0.2.0/24`, `192.0.2.7`."""
    word = text(value)
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise ValueError(f"expected a network such as 192.0.2.0/24, found '{word}'") from None
    raise ValueError(f"'{word}' is an address inside a network: did you mean {meant}?")


def parse_port_range(value: object) -> PortRange:
    """`20000-29999`."""
    first, dash, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not dash:
        raise ValueError(f"expected a range such as 20000-29999, found {shown(value)}")
    ports = PortRange(first=parse_port(first.strip()), last=parse_port(last.strip()))
    if ports.first < 1024 or ports.last < ports.first:
        raise ValueError(f"expected a range of ports above 1023 that does not run backwards, found '{value}'")
    return ports


def parse_url(value: object) -> str:
    """An http or https address without query or fragment; returned without a slash at its end.

    What may be a password or a token is not repeated in a fault, and neither is what surrounds it.
    """
    word = text(value)
    if "@" in word:
        raise ValueError("an address must not carry a user name or password")
    if "?" in word or "#" in word:
        raise ValueError("an address must not carry a query ('?') or a fragment ('#')")
    parts = urlsplit(word)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected an address such as http://127.0.0.1:8008, found '{word}'")
    _ = parts.port  # raises ValueError by itself when it is out of range
    return word.rstrip("/")


def parse_optional_url(value: object) -> str:
    """An http or https address, or nothing."""
    word = text(value)
    return parse_url(word) if word else ""


def parse_path(value: object) -> Path:
    """A file."""
    word = text(value)
    if not word:
        raise ValueError("expected a file, found nothing")
    return Path(word)


def parse_optional_path(value: object) -> Path | None:
    """A file, or nothing."""
    word = text(value)
    return Path(word) if word else None
