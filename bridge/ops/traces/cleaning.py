"""SIP messages without what opens doors or is nobody's business: credentials, keys of audio, pressed digits, texts.

Numbers and names stay: who may see them is decided where a message is shown (`traces.showing`). A body keeps its
length, so that Content-Length stays true.
"""

import re
from collections.abc import Iterable

BLANK = b"(removed)"
_SECRET = (
    b"Authorization",
    b"Proxy-Authorization",
    b"WWW-Authenticate",
    b"Proxy-Authenticate",
    b"Authentication-Info",
    b"Proxy-Authentication-Info",
    # A signed token that names both numbers in a way that no redaction recognizes (RFC 8224).
    b"Identity",
    b"y",
)
_REST = rb"[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*"
"""The value of a header field, folded lines included (RFC 3261 §7.3.1)."""
_KEYS = re.compile(rb"(?i)(?<=inline:)[A-Za-z0-9+/=]+|(?<=^a=ice-pwd:)\S+|(?<=^k=)\S+", re.MULTILINE)
"""Keys of encrypted audio (RFC 4568 §6.1) and the password of its connectivity checks."""
_OF_KEYPAD = re.compile(rb"(?im)^(?:content-type|c)[ \t]*:[ \t]*(?:application/dtmf|audio/telephone-event)")
_SIGNAL = re.compile(rb"(?im)^(?P<name>signal[ \t]*=[ \t]*|d=)?(?P<keys>[0-9A-D*#,]+)(?=[ \t]*\r?$)")
_CALL_ID = re.compile(rb"(?im)^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$")
_CSEQ = re.compile(rb"(?im)^cseq[ \t]*:[ \t]*[0-9]+[ \t]+([A-Za-z0-9.!%*_+`'~-]+)")


class Cleaner:
    """Knows which header fields are secret: those of digest authentication, and those that a trunk is given."""

    def __init__(self, secret_headers: Iterable[str] = ()) -> None:
        names = b"|".join(map(re.escape, (*_SECRET, *(name.encode() for name in secret_headers))))
        self._secret = re.compile(rb"(?im)^(" + names + rb")[ \t]*:" + _REST)

    def clean(self, payload: bytes) -> bytes:
        """The message as it may be kept and sent to others."""
        head, blank_line, body = _parted(payload)
        cleaned = self._secret.sub(rb"\1: " + BLANK, head)
        body = _KEYS.sub(_crossed_out, body)
        if _OF_KEYPAD.search(head):
            body = _SIGNAL.sub(lambda match: (match["name"] or b"") + b"*" * len(match["keys"]), body)
        if (method := _CSEQ.search(head)) and method[1].upper() == b"MESSAGE":
            body = b"*" * len(body)
        return cleaned + blank_line + body


def call_id_of(payload: bytes) -> str:
    """The Call-ID of a message, or nothing."""
    found = _CALL_ID.search(_parted(payload)[0])
    return found[1].decode(errors="replace") if found else ""


def title_of(payload: bytes) -> str:
    """`INVITE`, or `200 OK (INVITE)`."""
    line = payload.partition(b"\r\n")[0].decode(errors="replace")
    first, _, rest = line.partition(" ")
    if first != "SIP/2.0":
        return first
    method = _CSEQ.search(_parted(payload)[0])
    return f"{rest[:60]} ({method[1].decode()})" if method else rest[:60]


def _parted(payload: bytes) -> tuple[bytes, bytes, bytes]:
    return payload.partition(b"\r\n\r\n")


def _crossed_out(match: re.Match[bytes]) -> bytes:
    return b"x" * len(match[0])
