"""Ways to spoil a message, and messages worth spoiling: what all fuzzers of SIP share."""

import random
import re
from collections.abc import Callable

from tests.sip.samples import SDP, request, response
from tests.sip.torture_messages import ACCEPTED, LATE, REFUSED

LONGEST = 70_000

_WORDS = re.compile(rb"([\s;,:=<>@\"]+)")
_NUMBERS = re.compile(rb"[0-9]+")

CORPUS = [
    *ACCEPTED.values(),
    *LATE.values(),
    *(case.wire for case in REFUSED.values()),
    request(body=SDP),
    response("SIP/2.0 401 Unauthorized", lines=('WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',)),
]

MORSELS = (
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\r\n\r\n",
        b"\r\n ",
        b"\t",
        b" ",
        b":",
        b";",
        b",",
        b"<",
        b">",
        b'"',
        b"\\",
        b"=",
        b"@",
    ),
    *(
        b"%",
        b"%00",
        b"?",
        b"[",
        b"]",
        b"[::1]",
        b"SIP/2.0",
        b"SIP/7.0",
        b"sip:",
        b"tel:+15550100",
        b"urn:x",
        b"-1",
        b"99999",
    ),
    *(b"\xff", b"\xc3\xa9", b"\xef\xbf\xbd", b"\xed\xa0\x80", b"4294967296", b"Content-Length: 5\r\n", b"l:0\r\n"),
    *(
        b"Via: SIP/2.0/UDP a\r\n",
        b"To: <sip:x>\r\n",
        b"ACK ",
        b"CSeq: 1 ACK\r\n",
        b"Subject: x\r\n",
        b"Route: <sip:a;lr>\r\n",
    ),
)


NUMBERS = (
    *(b"0", b"-1", b"+1", b"00000000001", b"255", b"256", b"65536", b"2147483647", b"2147483648", b"4294967295"),
    *(b"4294967296", b"18446744073709551616", b"9" * 400, b"1e9", b"0x10", b"\xd9\xa1"),
)

FIELDS = (
    b"Require: 100rel, timer, replaces, nothing",
    b"Supported: 100rel, timer, replaces, norefersub, outbound, path",
    b"RSeq: 1",
    b"RAck: 1 1 INVITE",
    b"Session-Expires: 90;refresher=uas",
    b"x: 1800;refresher=",
    b"Min-SE: 90",
    b"Refer-To: <sip:+15550100@192.0.2.2?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
    b"r: <sip:a@b;method=BYE>",
    b'Referred-By: <sip:a@b>;cid="x"',
    b"Replaces: peer-call;to-tag=a;from-tag=peer;early-only",
    b"Event: refer;id=1",
    b"Subscription-State: terminated;reason=noresource",
    b"Diversion: <sip:+15550100@192.0.2.2>;reason=unconditional;counter=1;privacy=off",
    b"History-Info: <sip:+1@b?Reason=SIP%3Bcause%3D302>;index=1;mp=1, <sip:c@d>;index=1.1;rc=1",
    b"Identity: eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2ln;info=<https://x/y.pem>;alg=ES256;ppt=shaken",
    b'P-Asserted-Identity: "A" <sip:+15550123;verstat=TN-Validation-Passed@192.0.2.2>, <tel:+15550123>',
    b"P-Attestation-Indicator: A",
    b"Privacy: id;critical",
    b"Path: <sip:p@192.0.2.2;lr;ob>",
    b"Service-Route: <sip:192.0.2.2;lr>",
    b"Flow-Timer: 120",
    b'Reason: Q.850;cause=16;text="bye", SIP;cause=200',
    b"Retry-After: 5 (busy);duration=3",
    b"Info-Package: dtmf",
    b'WWW-Authenticate: Digest realm="lab", nonce="n", qop="auth,auth-int", algorithm=SHA-256, stale=TRUE',
    b"Contact: *",
    b'Contact: <sip:peer@192.0.2.2;transport=tls>;expires=60;+sip.instance="<urn:uuid:1>";reg-id=1;q=0.5',
    b"Record-Route: <sip:192.0.2.2;lr>, <sips:192.0.2.2;lr>",
    b"Content-Encoding: gzip",
    b"Content-Disposition: render;handling=required",
    b"Accept: multipart/mixed, application/sdp;q=0.1",
    b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKabc;ttl=1;maddr=224.2.0.1;received=1.2.3.4;rport=99999",
)
"""A line of each header that something of ours reads."""

Way = Callable[[bytes, random.Random], bytes]


def damage(wire: bytes, chance: random.Random, *, times: int = 1) -> bytes:
    """The message, spoilt in some ways."""
    for _ in range(times):
        wire = chance.choice(_WAYS)(wire, chance)[:LONGEST]
    return wire


def _insert_morsel(wire: bytes, chance: random.Random) -> bytes:
    at, _ = _span(wire, chance)
    return wire[:at] + chance.choice(MORSELS) + wire[at:]


def _replace_by_morsel(wire: bytes, chance: random.Random) -> bytes:
    at, end = _span(wire, chance)
    return wire[:at] + chance.choice(MORSELS) + wire[end:]


def _cut_out(wire: bytes, chance: random.Random) -> bytes:
    at, end = _span(wire, chance)
    return wire[:at] + wire[end:]


def _repeat(wire: bytes, chance: random.Random) -> bytes:
    at, end = _span(wire, chance)
    return wire[:at] + wire[at:end] * chance.choice((2, 3, 200)) + wire[end:]


def _flip_bit(wire: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(wire)) if wire else 0
    return wire[:at] + bytes([byte ^ 1 << chance.randrange(8) for byte in wire[at : at + 1]]) + wire[at + 1 :]


def _print_over(wire: bytes, chance: random.Random) -> bytes:
    at, _ = _span(wire, chance)
    return wire[:at] + bytes([chance.randrange(32, 127)]) + wire[at + chance.randrange(2) :]


def _garble(wire: bytes, chance: random.Random) -> bytes:
    at, end = _span(wire, chance)
    return wire[:at] + chance.randbytes(chance.randrange(1, 5)) + wire[end:]


def _truncate(wire: bytes, chance: random.Random) -> bytes:
    return wire[: _span(wire, chance)[0]]


def _splice(wire: bytes, chance: random.Random) -> bytes:
    at, _ = _span(wire, chance)
    return wire[:at] + chance.choice(CORPUS)[at:]


def _swap_token(wire: bytes, chance: random.Random) -> bytes:
    """A word in the place of another."""
    words, others = _WORDS.split(wire), _WORDS.split(chance.choice(CORPUS))
    words[chance.randrange(len(words))] = chance.choice(others)
    return b"".join(words)


def _swap_number(wire: bytes, chance: random.Random) -> bytes:
    found = list(_NUMBERS.finditer(wire))
    if not found:
        return wire
    number = chance.choice(found)
    return wire[: number.start()] + chance.choice(NUMBERS) + wire[number.end() :]


def _swap_line(wire: bytes, chance: random.Random) -> bytes:
    lines = wire.split(b"\r\n")
    lines[chance.randrange(len(lines))] = chance.choice(chance.choice(CORPUS).split(b"\r\n"))
    return b"\r\n".join(lines)


def _add_line(wire: bytes, chance: random.Random) -> bytes:
    start, end, rest = wire.partition(b"\r\n")
    return start + end + chance.choice(FIELDS) + b"\r\n" + rest


def _drop_line(wire: bytes, chance: random.Random) -> bytes:
    lines = wire.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def _shuffle_lines(wire: bytes, chance: random.Random) -> bytes:
    head, end, body = wire.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    chance.shuffle(lines)
    return b"\r\n".join([start, *lines]) + end + body


def _span(wire: bytes, chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(len(wire) + 1)
    return at, min(len(wire), at + chance.choice((1, 1, 2, 5, 40)))


_WAYS: tuple[Way, ...] = (
    *(_insert_morsel, _replace_by_morsel, _cut_out, _repeat, _flip_bit, _print_over, _garble, _truncate, _splice),
    *(_swap_token, _swap_number, _swap_line, _add_line, _drop_line, _shuffle_lines),
)
