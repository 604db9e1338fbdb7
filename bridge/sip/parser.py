"""Bytes to messages: what comes out has been checked, and what is wrong carries its own answer (RFC 3261 §7, §8.2)."""

import hashlib
import re
from typing import Any, NoReturn

from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.fields import MAX_DELTA_SECONDS, CSeq, NameAddr, Via
from bridge.sip.grammar import BLANKS, TOKEN, parse_number, split_list
from bridge.sip.headers import CANONICAL, Headers
from bridge.sip.message import Request, Response
from bridge.sip.uri import SipUri

MAX_MESSAGE = 65_535
MAX_HEADERS = 200
MAX_LINE = 8_192
"""Characters of one header field or start line, after unfolding."""

MAX_LINES = 1_000
"""Lines of a header section, folded ones counted: what is beyond is not even looked at."""

_ANY_FIELD = re.compile(rf"\r\n({TOKEN})[ \t]*:[ \t]*([^\r\n]*)")
_FOLD = re.compile(r"\r\n[ \t]+")
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
        body = _body(data, end, first)
        request = Request.trusted(found[1], found[2], Headers.trusted(pairs, first, _views(pairs, first)), body)
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
        return Response(int(found[1]), found[2] or "", Headers.trusted(pairs, first, _views(pairs, first)), body)
    except SipError as error:
        raise SipError(None, error.reason) from None


def _lines(head: str) -> tuple[str, Pairs, bool]:
    """Start line, canonical name and value of each header field, and whether all lines were header fields."""
    lines = head.count("\n")
    if lines > MAX_LINES:
        start_line, pairs, _ = _lines("\n".join(head.split("\n", MAX_LINES)[:MAX_LINES]))
        return start_line, pairs, False
    split = head.split("\r\n")
    try:
        pairs = [(CANONICAL[name], value) for name, _, value in [line.partition(": ") for line in split[1:-1]]]
    except LocalSipError:
        return _odd_lines(head)
    # No CR or LF stands alone for another reader to take for the end of a line, and no blank around a value.
    ends = len(pairs) + 1
    if lines != ends or head.count("\r") != ends or "\t" in head or ":  " in head or " \r" in head:
        return _odd_lines(head)
    return split[0], pairs, True


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


def _views(pairs: Pairs, first: dict[str, str]) -> dict[str, Any]:
    """The typed values that every message is used by: nobody behind this point meets a malformed header of these."""
    if len(first) != len(pairs):
        _check_single(pairs)
    for name in _REQUIRED:
        if not first.get(name):
            raise SipError(400, f"Missing {name}")
    _check_call_id(first["Call-ID"])
    # All of them: a client must count them (RFC 3261 §8.1.3.3), and a server's responses repeat them.
    vias = [Via.parse(element) for name, value in pairs if name == "Via" for element in split_list(value)]
    return {
        "via": vias[0],
        "vias": vias,
        "from": NameAddr.parse(first["From"]),
        "to": NameAddr.parse(first["To"]),
        "cseq": CSeq.parse(first["CSeq"]),
    }


def _check_call_id(value: str) -> None:
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
