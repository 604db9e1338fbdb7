"""Bytes to messages: what comes out has been checked, and what is wrong carries its own answer (RFC 3261 §7, §8.2)."""

import hashlib
import re
from typing import NoReturn

from bridge.sip.errors import SipError
from bridge.sip.fields import MAX_DELTA_SECONDS, CSeq, NameAddr, Via
from bridge.sip.grammar import TOKEN, parse_number
from bridge.sip.headers import Headers, Views
from bridge.sip.lines import split_head
from bridge.sip.message import Request, Response
from bridge.sip.uri import SipUri, recognize_uri
from bridge.sip.views import RECOGNIZED_VIAS

MAX_MESSAGE = 65_535
MAX_HEADERS = 200
MAX_LINE = 8_192
"""Characters of one header field or start line, after unfolding."""

_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]++) [Ss][Ii][Pp]/2\.0")
_ALMOST_REQUEST = re.compile(rf"{TOKEN}[ \t].*[Ss][Ii][Pp]/([0-9]{{1,5}}\.[0-9]{{1,5}})[ \t]*", re.DOTALL)
_STATUS_LINE = re.compile(r"[Ss][Ii][Pp]/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*))?")

_SINGLE_NAMES = (
    "From To Call-ID CSeq Max-Forwards Content-Length Content-Type Expires Min-Expires Session-Expires Min-SE "
    "Refer-To Referred-By Replaces RSeq RAck Event Subscription-State"
)
"""Headers whose second value would let two readers see two messages (RFC 4475 §3.3.8)."""

_REQUIRED = ("Via", "From", "To", "Call-ID", "CSeq")
"""What every message has (RFC 3261 §8.1.1), and every response repeats (§8.2.6.2)."""

_NAME_BEARING_NAMES = (
    "From To Contact Reply-To P-Asserted-Identity P-Preferred-Identity Remote-Party-ID Diversion Referred-By"
)
"""Headers with display names, where bytes that are no UTF-8 are common and are replaced; elsewhere they are refused."""

_SINGLE = frozenset(_SINGLE_NAMES.split())
_NAME_BEARING = frozenset(_NAME_BEARING_NAMES.split())

Pairs = list[tuple[str, str]]


def parse_message(data: bytes) -> Request | Response:
    """Parse one message; anything else raises `SipError`, with the answer to send where there is one."""
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")  # RFC 3261 §7.5
    if not data:
        raise SipError(None, "Keep-Alive")
    if len(data) > MAX_MESSAGE:
        raise refusal(data[:MAX_MESSAGE], 513, "Message Too Large")
    end = data.find(b"\r\n\r\n")
    head, clean = _decode(data if end < 0 else data[: end + 2])
    if data[:4].upper() == b"SIP/":
        return _parse_response(head, clean, data, end)
    return _parse_request(head, clean, data, end)


def refusal(head: bytes, status: int, reason: str) -> SipError:
    """The error for a message that was not read beyond its header section, or not even to the end of that."""
    text, _ = _decode(head.partition(b"\r\n\r\n")[0] + b"\r\n")
    start_line, pairs, _ = split_head(text)
    if not _ALMOST_REQUEST.fullmatch(start_line):
        return SipError(None, reason)
    return _with_answer(SipError(status, reason), start_line, pairs, _by_name(pairs)[0])


def _decode(raw: bytes) -> tuple[str, bool]:
    """The text, and whether it was clean UTF-8 without NUL."""
    clean = True
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text, clean = raw.decode(errors="replace"), False
    if "\0" in text:
        # A quoted pair may be NUL (RFC 4475 §3.1.1.2); nothing behind us wants to see one.
        text, clean = text.replace("\\\0", "\\\ufffd"), False
    return text, clean


def _parse_request(head: str, clean: bool, data: bytes, end: int) -> Request:
    start_line, pairs, whole = split_head(head)
    first, again = _by_name(pairs)
    found = _REQUEST_LINE.fullmatch(start_line)
    try:
        if found is None or len(start_line) > MAX_LINE:
            _refuse_request_line(start_line)
        _check_head(head, clean, pairs, whole)
        body = _body(data, end, first)
        headers = Headers.trusted(pairs, first, _recognize(first, again))
        request = Request.trusted(found[1], found[2], recognize_uri(found[2]), headers, body)
        _check_request(request, first)
    except SipError as error:
        raise _with_answer(error, start_line, pairs, first) from None
    return request


def _parse_response(head: str, clean: bool, data: bytes, end: int) -> Response:
    start_line, pairs, whole = split_head(head)
    first, again = _by_name(pairs)
    found = _STATUS_LINE.fullmatch(start_line)
    try:
        if found is None:
            raise SipError(None, "Malformed Status-Line")
        _check_head(head, clean, pairs, whole)
        body = _body(data, end, first)
        return Response(int(found[1]), found[2] or "", Headers.trusted(pairs, first, _recognize(first, again)), body)
    except SipError as error:
        raise SipError(None, error.reason) from None


def _check_head(head: str, clean: bool, pairs: Pairs, whole: bool) -> None:
    if not whole:
        raise SipError(400, "Malformed Header Line")
    if len(pairs) > MAX_HEADERS:
        raise SipError(400, "Too Many Header Fields")
    if len(head) > MAX_LINE and max((len(name) + 2 + len(value) for name, value in pairs), default=0) > MAX_LINE:
        raise SipError(400, "Header Line Too Long")
    if not clean:
        _check_replaced(head, pairs)


def _check_replaced(head: str, pairs: Pairs) -> None:
    if "\0" in head or any("\ufffd" in value for name, value in pairs if name not in _NAME_BEARING):
        raise SipError(400, "Header Is Not UTF-8")


def _body(data: bytes, end: int, first: dict[str, str]) -> bytes:
    """The bytes that Content-Length counts; more are another's, fewer are a fault (RFC 3261 §18.3)."""
    if end < 0:
        raise SipError(400, "Header Section Without End")
    value = first.get("Content-Length")
    if value is None:
        return data[end + 4 :]
    length = parse_number(value, 2**32, "Content-Length")
    if end + 4 + length > len(data):
        raise SipError(400, "Content-Length Beyond Message")
    return data[end + 4 : end + 4 + length]


def _by_name(pairs: Pairs) -> tuple[dict[str, str], Pairs]:
    """The first value of each header, and the fields whose names come again."""
    first: dict[str, str] = {}
    again: Pairs = []
    for name, value in pairs:
        if name in first:
            again.append((name, value))
        else:
            first[name] = value
    return first, again


def _recognize(first: dict[str, str], again: Pairs) -> Views:
    """Check what every message is used by: nobody behind this point meets a malformed header of these.

    What is of the plain kind is typed later, if anybody looks; all else is parsed now, to find out.
    """
    _check_single(again)
    if missing := [name for name in _REQUIRED if not first.get(name)]:
        raise SipError(400, f"Missing {missing[0]}")
    _check_call_id(first["Call-ID"])
    # All of them: a client must count them (RFC 3261 §8.1.3.3), and a server's responses repeat them.
    vias = Via.recognize(first["Via"])
    for name, value in again:
        if name == "Via":
            vias += Via.recognize(value)
    return {
        RECOGNIZED_VIAS: vias,
        "from": NameAddr.recognize(first["From"]),
        "to": NameAddr.recognize(first["To"]),
        "cseq": CSeq.parse(first["CSeq"]),
    }


def _check_call_id(value: str) -> None:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SipError(400, "Malformed Call-ID")


def _check_single(again: Pairs) -> None:
    for name, _ in again:
        if name in _SINGLE:
            raise SipError(400, f"Repeated {name}")


def _check_request(request: Request, first: dict[str, str]) -> None:
    if request.headers.views["cseq"].method != request.method:
        raise SipError(400, "CSeq Method Does Not Match")
    if "Expires" in first:
        parse_number(first["Expires"], MAX_DELTA_SECONDS, "Expires")
    if "Max-Forwards" in first:
        parse_number(first["Max-Forwards"], 255, "Max-Forwards")
    # Headers have no meaning in a Request-URI (RFC 3261 §19.1.1) and must not end up in a message of ours.
    if "?" in request.uri_text and isinstance(request.uri, SipUri) and request.uri.headers:
        raise SipError(400, "Headers in Request-URI")


def _refuse_request_line(start_line: str) -> NoReturn:
    """Tell a broken SIP request, which is answered, from what is no SIP at all."""
    found = _ALMOST_REQUEST.fullmatch(start_line)
    if found is None:
        raise SipError(None, "Not SIP")
    if found[1] != "2.0":
        raise SipError(505, "Version Not Supported")
    raise SipError(400, "Malformed Request-Line")


def _with_answer(error: SipError, start_line: str, pairs: Pairs, first: dict[str, str]) -> SipError:
    """The error with the response that a stateless server gives; an ACK gets none (RFC 3261 §17.1.1.3)."""
    if error.status is None or start_line.startswith("ACK ") or first.get("CSeq", "").endswith("ACK"):
        return SipError(None, error.reason)
    if not first.get("Via"):
        return error
    # Headers that are missing are left out, of repeated ones the first is taken (RFC 4475 §3.3.1, §3.3.8).
    echoed = [
        (name, value)
        for name, value in pairs
        if name == "Via" or (name in _REQUIRED and value is first[name])
        if "\0" not in value
    ]
    answer = Response(error.status, error.reason, Headers.trusted(_tagged(echoed)))
    return SipError(error.status, error.reason, response=answer)


def _tagged(pairs: Pairs) -> Pairs:
    """To with a tag that is the same for each copy of the request (RFC 3261 §8.2.7); an unreadable To stays."""
    seed = "\n".join(value for name, value in pairs if name in ("Via", "Call-ID"))
    tag = hashlib.sha256(seed.encode()).hexdigest()[:16]
    return [(name, _with_tag(value, tag) if name == "To" else value) for name, value in pairs]


def _with_tag(value: str, tag: str) -> str:
    try:
        return value if NameAddr.parse(value).tag else f"{value};tag={tag}"
    except SipError:
        return value
