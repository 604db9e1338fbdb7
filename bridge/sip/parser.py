"""Bytes to messages: what comes out has been checked, and what is wrong carries its own answer (RFC 3261 §7, §8.2)."""

import hashlib
import re
from typing import NoReturn

from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.fields import MAX_DELTA_SECONDS, PLAIN_ADDRESS, PLAIN_VIA, NameAddr
from bridge.sip.grammar import BLANKS, TOKEN, parse_number
from bridge.sip.headers import CANONICAL, Headers
from bridge.sip.message import Message, Request, Response
from bridge.sip.uri import PLAIN_SIP, SipUri

MAX_MESSAGE = 65_535
MAX_HEADERS = 200
MAX_LINE = 8_192
"""Characters of one header field or start line, after unfolding."""

MAX_LINES = 1_000
"""Lines of a header section, folded ones counted: what is beyond is not even looked at."""

_PLAIN_FIELD = re.compile(r"\n([^:]{1,64}): (?! )(.*)(?<! )\r")
"""A line as nearly all senders write it. The bound keeps lines without a colon from being searched to the end each."""

_ANY_FIELD = re.compile(rf"\r\n({TOKEN})[ \t]*:[ \t]*([^\r\n]*)")
_FOLD = re.compile(r"\r\n[ \t]+")
_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) [Ss][Ii][Pp]/2\.0")
_ALMOST_REQUEST = re.compile(rf"{TOKEN}[ \t].*[Ss][Ii][Pp]/([0-9]{{1,5}}\.[0-9]{{1,5}})[ \t]*", re.DOTALL)
_PLAIN_SIP = re.compile(PLAIN_SIP)
_STATUS_LINE = re.compile(r"[Ss][Ii][Pp]/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*))?")

_SINGLE_NAMES = (
    "From To Call-ID CSeq Max-Forwards Content-Length Content-Type Expires Min-Expires Session-Expires Min-SE "
    "Refer-To Referred-By Replaces RSeq RAck Event Subscription-State"
)
"""Headers whose second value would let two readers see two messages (RFC 4475 §3.3.8)."""

_ECHOED = frozenset(("Via", "From", "To", "Call-ID", "CSeq"))

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
    start_line, pairs, _ = _lines(text)
    if not _ALMOST_REQUEST.fullmatch(start_line):
        return SipError(None, reason)
    return _with_answer(SipError(status, reason), start_line, pairs, dict(reversed(pairs)))


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
    start_line, pairs, whole = _lines(head)
    first = dict(reversed(pairs))
    found = _REQUEST_LINE.fullmatch(start_line)
    try:
        if found is None or len(start_line) > MAX_LINE:
            _refuse_request_line(start_line)
        _check_head(head, clean, pairs, whole)
        request = Request.trusted(found[1], found[2], Headers.trusted(pairs, first), _body(data, end, first))
        _check_common(request, pairs, first)
        _check_request(request, first)
    except SipError as error:
        raise _with_answer(error, start_line, pairs, first) from None
    return request


def _parse_response(head: str, clean: bool, data: bytes, end: int) -> Response:
    start_line, pairs, whole = _lines(head)
    first = dict(reversed(pairs))
    found = _STATUS_LINE.fullmatch(start_line)
    try:
        if found is None:
            raise SipError(None, "Malformed Status-Line")
        _check_head(head, clean, pairs, whole)
        body = _body(data, end, first)
        response = Response(int(found[1]), found[2] or "", Headers.trusted(pairs, first), body)
        _check_common(response, pairs, first)
    except SipError as error:
        raise SipError(None, error.reason) from None
    return response


def _lines(head: str) -> tuple[str, Pairs, bool]:
    """Start line, canonical name and value of each header field, and whether all lines were header fields."""
    lines = head.count("\n")
    if lines > MAX_LINES:
        start_line, pairs, _ = _lines("\n".join(head.split("\n", MAX_LINES)[:MAX_LINES]))
        return start_line, pairs, False
    try:
        pairs = [(CANONICAL[name], value) for name, value in _PLAIN_FIELD.findall(head)]
    except LocalSipError:
        return _odd_lines(head)
    count = len(pairs) + 1
    # Each line has matched, and no CR or LF stands alone for another reader to take for the end of a line.
    if lines != count or head.count("\r") != count or "\t" in head:
        return _odd_lines(head)
    return head[: head.find("\r\n")], pairs, True


def _odd_lines(head: str) -> tuple[str, Pairs, bool]:
    """The same for lines that are folded, have blanks in unusual places, or are no header fields."""
    head = _FOLD.sub(" ", head.removesuffix("\r\n"))
    pairs = [(CANONICAL[name], value.rstrip(BLANKS)) for name, value in _ANY_FIELD.findall(head)]
    whole = head.count("\r") == len(pairs) and head.count("\n") == len(pairs)
    return head.partition("\r\n")[0], pairs, whole


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


def _check_common(message: Message, pairs: Pairs, first: dict[str, str]) -> None:
    if len(first) != len(pairs):
        _check_single(pairs)
    _check_call_id(first.get("Call-ID", ""))
    _check_views(message, pairs, first)


def _check_views(message: Message, pairs: Pairs, first: dict[str, str]) -> None:
    """Nobody behind this point may meet a malformed header of these; what looks unusual is parsed to find out."""
    # All of them: a client must count them (RFC 3261 §8.1.3.3), and a server's responses repeat them.
    if not first.get("Via"):
        raise SipError(400, "Missing Via")
    if not all(PLAIN_VIA.fullmatch(value) for name, value in pairs if name == "Via"):
        _ = message.vias
    if not PLAIN_ADDRESS.fullmatch(first.get("From", "")):
        _ = message.from_
    if not PLAIN_ADDRESS.fullmatch(first.get("To", "")):
        _ = message.to
    _ = message.cseq


def _check_call_id(value: str) -> None:
    if not value:
        raise SipError(400, "Missing Call-ID")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SipError(400, "Malformed Call-ID")


def _check_single(pairs: Pairs) -> None:
    names = [name for name, _ in pairs if name in _SINGLE]
    if len(names) != len(set(names)):
        repeated = next(name for name in names if names.count(name) > 1)
        raise SipError(400, f"Repeated {repeated}")


def _check_request(request: Request, first: dict[str, str]) -> None:
    if request.cseq.method != request.method:
        raise SipError(400, "CSeq Method Does Not Match")
    if "Expires" in first:
        parse_number(first["Expires"], MAX_DELTA_SECONDS, "Expires")
    if "Max-Forwards" in first:
        parse_number(first["Max-Forwards"], 255, "Max-Forwards")
    if _PLAIN_SIP.fullmatch(request.uri_text):
        return
    uri = request.uri
    # Headers have no meaning in a Request-URI (RFC 3261 §19.1.1) and must not end up in a message of ours.
    if isinstance(uri, SipUri) and uri.headers:
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
        if name == "Via" or (name in _ECHOED and value is first[name])
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
