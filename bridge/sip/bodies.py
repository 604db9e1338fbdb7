"""Finding the session description in a message (RFC 3261 §7.4, RFC 5621)."""

import re

from bridge.sip.errors import SipError
from bridge.sip.message import Message, Request
from bridge.sip.requests import SDP_TYPE

_MAX_PARTS = 16
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"\r\n]{1,70})"|([!#-+\--:=?-~]{1,70}))', re.IGNORECASE)
_PART_TYPE = re.compile(r"^(?:content-type|c)[ \t]*:[ \t]*([^;\s]+)", re.IGNORECASE | re.MULTILINE)
_PART_ENCODED = re.compile(
    r"^content-transfer-encoding[ \t]*:[ \t]*(base64|quoted-printable)", re.IGNORECASE | re.MULTILINE
)


def session_description(message: Message) -> str | None:
    """The SDP of a message, or `None` when it has no body; other bodies are a 415 (RFC 3261 §8.2.3)."""
    if not message.body:
        return None
    if (message.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise SipError(415, "Unsupported Content-Encoding")
    kind = message.content_type
    if kind == SDP_TYPE:
        return _text(message.body)
    if kind == "multipart/mixed":
        return _from_multipart(message)
    if _is_optional(message):
        return None
    raise SipError(415, "Unsupported Media Type")


def wants_sdp(request: Request) -> bool:
    """Whether the peer accepts session descriptions: it does unless its Accept names other types only (§20.1)."""
    accepted = [
        item.partition(";")[0].strip().lower()
        for value in request.headers.get_all("Accept")
        for item in value.split(",")
    ]
    return not accepted or any(item in (SDP_TYPE, "application/*", "*/*") for item in accepted)


def _is_optional(message: Message) -> bool:
    """A body that may be ignored says so (§20.11)."""
    return "handling=optional" in (message.headers.get("Content-Disposition") or "").lower().replace(" ", "")


def _from_multipart(message: Message) -> str | None:
    """The SDP part: carriers put ISUP beside it. One level only: nested ones are nobody's honest message."""
    found = _BOUNDARY.search(message.headers.get("Content-Type") or "")
    if found is None:
        raise SipError(400, "Multipart without Boundary")
    marker = b"--" + (found[1] or found[2]).encode()
    parts = message.body.split(marker, _MAX_PARTS + 1)[1:]
    for part in parts[:_MAX_PARTS]:
        head, _, body = part.partition(b"\r\n\r\n")
        kind = _PART_TYPE.search(_text(head))
        if kind is not None and kind[1].lower() == SDP_TYPE and not _PART_ENCODED.search(_text(head)):
            return _text(body.removesuffix(b"\r\n"))
    raise SipError(415, "Unsupported Media Type")


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
