"""Addresses: SIP and SIPS URIs (RFC 3261 §19.1), telephone numbers (RFC 3966), and any other scheme."""

import ipaddress
import re
from dataclasses import field
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from bridge.core.pii import Pii
from bridge.core.values import Kept, value_type
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.grammar import HOST, Params, plain_params

_USER = r"[A-Za-z0-9_.!~*'()&=+$,;?/%#-]"
_PASSWORD = r"[A-Za-z0-9_.!~*'()&=+$,%-]"  # noqa: S105
_PARAMS = r"[!#-+\--:;=A-\[\]-~]"
_HEADERS = r"[!#-+\--:=A-\[\]-~?]"

_SIP = re.compile(
    rf"([Ss][Ii][Pp][Ss]?):(?:({_USER}+)(?::({_PASSWORD}*))?@)?({HOST})(?::([0-9]{{1,5}}))?"
    rf"(;{_PARAMS}*)?(?:\?({_HEADERS}*))?"
)

PLAIN_SIP = (
    r"(sips?):(?:([A-Za-z0-9_.!~*'()&=+$,;?/#-]++)@)?([A-Za-z0-9._-]++)(?::([1-5]?[0-9]{1,4}))?"
    r"((?:;[!#$&-+\--:A-\[\]-~]++(?:=[!#$&-+\--:=A-\[\]-~]++)?)*+)"
)
"""SIP URIs of the usual kind, which cannot be wrong: without escapes, password and headers, and no very high port.

The groups are scheme, user, host, port and parameters."""

_TEL = re.compile(r"[Tt][Ee][Ll]:(\+[0-9().-]*[0-9][0-9().-]*|[0-9A-Fa-f*#().-]+)(;[!#-+\--:;=A-\[\]-~]*)?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([!#-;=?-~]+)")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(HOST)
_PLAIN_SIP = re.compile(PLAIN_SIP)

_SAFE_USER = "-_.!~*'()&=+$,;?/"
_SAFE_PASSWORD = "-_.!~*'()&=+$,"  # noqa: S105
_SAFE_PARAM = "-_.!~*'()[]/:&+$"
_SAFE_HEADER = "-_.!~*'()[]/?:+$"
_NO_PARAMS: Params = {}


@value_type
class SipUri:
    """A SIP or SIPS URI, its parts without escapes."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    """A name or an address; IPv6 without the brackets."""
    port: int | None = None
    params: Params = field(default_factory=dict, hash=False)
    headers: tuple[tuple[str, str], ...] = ()
    _received: str | None = field(default=None, compare=False)
    """The peer's spelling: a remote target must go back as it came (RFC 3261 §12.2.1.1), escapes included."""

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Parse a `sip:` or `sips:` URI; malformed ones are a 400."""
        uri = parse_uri(text)
        if not isinstance(uri, SipUri):
            raise SipError(416, "Unsupported URI Scheme")
        return uri

    @property
    def host_port(self) -> str:
        """Host and port as in a Via or a URI, IPv6 in brackets."""
        return join_host_port(self.host, self.port)

    @property
    def destination(self) -> str:
        """The host that requests to this URI are sent to (RFC 3261 §19.1.1: `maddr` overrides the host)."""
        return self.params.get("maddr") or self.host

    @property
    def transport(self) -> str | None:
        """The `transport` parameter in lower case."""
        value = self.params.get("transport")
        return value.lower() if value else None

    def __repr__(self) -> str:
        return f"SipUri({Pii(str(self))})"

    def __str__(self) -> str:
        return self._received if self._received is not None else self._compose()

    def _compose(self) -> str:
        if self.scheme not in ("sip", "sips") or not _HOST.fullmatch(bracketed(self.host)):
            raise LocalSipError("not a SIP URI")
        return f"{self.scheme}:{self._userinfo()}{self.host_port}{_join_params(self.params)}{self._join_headers()}"

    def _userinfo(self) -> str:
        if not self.user:
            return ""
        user = _encode(self.user, _SAFE_USER)
        return f"{user}@" if self.password is None else f"{user}:{_encode(self.password, _SAFE_PASSWORD)}@"

    def _join_headers(self) -> str:
        pairs = [f"{_encode(name, _SAFE_HEADER)}={_encode(value, _SAFE_HEADER)}" for name, value in self.headers]
        return "?" + "&".join(pairs) if pairs else ""


@value_type
class TelUri:
    """A telephone number (RFC 3966)."""

    number: str
    """As written, visual separators included."""
    params: Params = field(default_factory=dict, hash=False)

    @property
    def digits(self) -> str:
        """The number without the separators, which mean nothing (RFC 3966 §5.1.1)."""
        return self.number.translate(_NO_SEPARATORS)

    def __repr__(self) -> str:
        return f"TelUri({Pii(self.digits)})"

    def __str__(self) -> str:
        text = f"tel:{self.number}{_join_params(self.params)}"
        if not _TEL.fullmatch(text):
            raise LocalSipError("not a telephone number")
        return text


@value_type
class OtherUri:
    """A URI of a scheme that we cannot call, but that may stand in From, To and elsewhere."""

    scheme: str
    rest: str

    def __repr__(self) -> str:
        return f"OtherUri({Pii(self.rest)})"

    def __str__(self) -> str:
        text = f"{self.scheme}:{self.rest}"
        if not _SCHEME.fullmatch(text):
            raise LocalSipError("not a URI")
        return text


Uri = SipUri | TelUri | OtherUri
Recognized = SipUri | TelUri | re.Match[str]
"""A URI that can be called, or its text taken apart: whoever looks makes the one of the other."""

_KEPT: Kept[Uri] = Kept()

_NO_SEPARATORS = str.maketrans("", "", "-.()")


def parse_uri(text: str) -> SipUri | TelUri:
    """A URI that can be called: 416 for other schemes (RFC 3261 §8.2.2.1), 400 for malformed ones."""
    uri = parse_any_uri(text)
    if isinstance(uri, OtherUri):
        raise SipError(416, "Unsupported URI Scheme")
    return uri


def parse_any_uri(text: str) -> Uri:
    """Any URI; only malformed ones are refused."""
    # A dialog repeats its few addresses in each of its messages.
    return _KEPT.get(text) or _KEPT.keep(text, _parse(text))


def recognize_uri(text: str) -> Recognized:
    """A URI that can be called and is known or of the usual kind; others are parsed now, to find out."""
    known = _KEPT.get(text)
    if known is not None and not isinstance(known, OtherUri):
        return known
    return _PLAIN_SIP.fullmatch(text) or parse_uri(text)


def recognized_uri(found: Recognized) -> SipUri | TelUri:
    """What it is."""
    if isinstance(found, re.Match):
        uri = plain_sip_uri(found[0], *found.groups())
        _KEPT.keep(found[0], uri)
        return uri
    return found


def _parse(text: str) -> Uri:
    if found := _PLAIN_SIP.fullmatch(text):
        return plain_sip_uri(text, *found.groups())
    if found := _SIP.fullmatch(text):
        return _sip_uri(text, found)
    if found := _TEL.fullmatch(text):
        return TelUri(found[1], _split_params(found[2]))
    found = _SCHEME.fullmatch(text)
    if found is None or found[1].lower() in ("sip", "sips", "tel"):
        raise SipError(400, "Malformed URI")
    return OtherUri(found[1].lower(), found[2])


def plain_sip_uri(text: str, scheme: str, user: str | None, host: str, port: str | None, params: str) -> SipUri:
    """The URI whose parts are the groups of :data:`PLAIN_SIP`."""
    number = int(port) if port else None
    return SipUri(scheme, user, None, host, number, plain_params(params) if params else _NO_PARAMS, (), text)


def port_number(text: str) -> int:
    """Of up to five digits."""
    number = int(text)
    if number > 65535:
        raise SipError(400, "Port Out of Range")
    return number


def _sip_uri(text: str, found: re.Match[str]) -> SipUri:
    scheme, user, password, host, port, params, headers = found.groups()
    if "%" in text:
        user, password = _decode(user), _decode(password)
    number = port_number(port) if port else None
    return SipUri(
        scheme.lower(), user, password, bare_host(host), number, _split_params(params), _split_headers(headers), text
    )


def bracketed(host: str) -> str:
    """A host as it stands in a URI or a Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def join_host_port(host: str, port: int | None) -> str:
    """`host` or `host:port`, IPv6 in brackets."""
    return bracketed(host) if port is None else f"{bracketed(host)}:{port}"


def bare_host(host: str) -> str:
    """A host without the brackets of IPv6; what is in brackets must be such an address (RFC 3261 §25.1)."""
    if host[0] != "[":
        return host
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        raise SipError(400, "Malformed IPv6 Address") from None
    return host[1:-1]


def _encode(text: str, safe: str) -> str:
    try:
        return percent_encode(text, safe=safe)
    except UnicodeEncodeError:
        raise LocalSipError("lone surrogate in a URI") from None


def _decode(text: str | None) -> str | None:
    if text is None or "%" not in text:
        return text
    _check_escapes(text)
    return percent_decode(text, errors="replace")


def _check_escapes(text: str) -> None:
    if _BAD_ESCAPE.search(text):
        raise SipError(400, "Malformed Escape in URI")


def _split_params(text: str | None) -> Params:
    if text is None:
        return _NO_PARAMS
    params: dict[str, str | None] = {}
    for piece in text[1:].split(";"):
        if "%" in piece:
            _check_escapes(piece)
        name, equals, value = piece.partition("=")
        if not name:
            raise SipError(400, "Malformed URI Parameters")
        if "%" in piece:
            name, value = percent_decode(name, errors="replace"), percent_decode(value, errors="replace")
        params.setdefault(name.lower(), value if equals else None)
    return params


def _join_params(params: Params) -> str:
    pairs = [(_encode(name, _SAFE_PARAM), value) for name, value in params.items()]
    return "".join(f";{name}" if value is None else f";{name}={_encode(value, _SAFE_PARAM)}" for name, value in pairs)


def _split_headers(text: str | None) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    pairs = [piece.partition("=") for piece in text.split("&")]
    return tuple((_decode(name) or "", _decode(value) or "") for name, _, value in pairs)
