"""Building blocks for SIP messages in tests."""

from collections.abc import Mapping

BASE = {
    "Via": "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKcase",
    "Max-Forwards": "70",
    "From": "<sip:caller@example.net>;tag=c1",
    "To": "<sip:callee@example.org>",
    "Call-ID": "case.1@192.0.2.2",
    "CSeq": "1 INVITE",
    "Contact": "<sip:caller@192.0.2.2>",
}

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def request(
    method: str = "INVITE",
    uri: str = "sip:callee@example.org",
    changes: Mapping[str, str | None] | None = None,
    *,
    line: str | None = None,
    lines: tuple[str, ...] = (),
    body: bytes = b"",
    length: bool = True,
) -> bytes:
    """A request; `changes` replaces header values (`None` leaves one out), `lines` are further header lines.

    A body that is a session description says so.
    """
    kind = "application/sdp" if body.startswith(b"v=0") else None
    fields = {**BASE, "CSeq": f"1 {method}", "Content-Type": kind, **(changes or {})}
    return message(line or f"{method} {uri} SIP/2.0", fields, lines, body, length)


def response(
    line: str = "SIP/2.0 200 OK",
    changes: Mapping[str, str | None] | None = None,
    *,
    lines: tuple[str, ...] = (),
    body: bytes = b"",
) -> bytes:
    """A response to the INVITE that :func:`request` makes."""
    return message(line, {**BASE, "Max-Forwards": None, **(changes or {})}, lines, body, True)


def message(line: str, fields: Mapping[str, str | None], lines: tuple[str, ...], body: bytes, length: bool) -> bytes:
    """The wire form."""
    rows = [line, *(f"{name}: {value}" for name, value in fields.items() if value is not None), *lines]
    if length:
        rows.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*rows, "", ""]).encode("utf-8", "surrogateescape") + body
