"""What one SIP message costs, in microseconds of one core, beside what it costs the other Python packages.

The INVITE is of the size that trunks send: about 1,300 bytes, 20 header fields and a session description. "Fresh" rows
cycle through more callers, called numbers and hosts than the address cache holds, so that each address is parsed anew;
"repeated" is one message again and again, as in a retransmission or within a dialog. "Typed" is parsed and looked at:
Request-URI, every Via, From, To, CSeq, Contact and routes, of each package alike.

A row with a peer is that peer's figure, and its ratio is ours divided by it.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bridge.sip import Request, Response, parse_message

Row = dict[str, str | float]

ROUNDS = 9
_FRESH = 2_000
_REPEATED = 500

_SDP = (
    "v=0\r\no=- 1739520001 1739520001 IN IP4 192.0.2.30\r\ns=-\r\nc=IN IP4 192.0.2.30\r\nt=0 0\r\n"
    "m=audio 31754 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=ptime:20\r\na=sendrecv\r\n"
)


def invite(number: int) -> bytes:
    """The INVITE of one caller; `number` makes all its addresses and identifiers differ from the next one's."""
    lines = [
        f"INVITE sip:+1555{number:07}@pbx{number}.example.org:5060;transport=udp SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKa91c{number:08x}",
        f"Via: SIP/2.0/UDP 192.0.2.20:5060;received=192.0.2.21;rport=5060;branch=z9hG4bK77{number:08x}",
        "Record-Route: <sip:192.0.2.10;lr;ftag=aa12>",
        f"Record-Route: <sip:edge{number}.example.org;lr>",
        f'From: "Alice Example" <sip:+4930{number:07}@carrier{number}.example.net>;tag=f{number:08x}',
        f"To: <sip:+1555{number:07}@pbx{number}.example.org>",
        f"Call-ID: 6f2d0c1e-{number:08x}-4e0d-a1b2@192.0.2.20",
        "CSeq: 102 INVITE",
        f"Contact: <sip:+4930{number:07}@192.0.2.20:5060;transport=udp>",
        "Max-Forwards: 69",
        "User-Agent: Example Gateway 4.2.1",
        "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, UPDATE",
        "Supported: replaces, timer, path",
        "Session-Expires: 1800;refresher=uac",
        "Min-SE: 90",
        f'P-Asserted-Identity: "Alice Example" <sip:+4930{number:07}@carrier{number}.example.net>',
        "Privacy: none",
        "Date: Sat, 14 Feb 2026 08:00:00 GMT",
        "Content-Type: application/sdp",
        f"Content-Length: {len(_SDP)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + _SDP).encode()


def parse_typed(data: bytes) -> Request | Response:
    """Parse and look at all that a user agent looks at."""
    message = parse_message(data)
    _ = message.vias, message.from_, message.to, message.cseq, message.contacts, message.routes, message.record_routes
    if isinstance(message, Request):
        _ = message.uri
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to do a task; `peer` is empty for ours."""

    task: str
    peer: str
    work: Callable[[Any], object]
    inputs: Sequence[Any]


def run() -> list[Row]:
    """Measure and return one row for each figure."""
    fresh = [invite(number) for number in range(_FRESH)]
    repeated = fresh[:1] * _REPEATED
    requests = [message for message in map(parse_message, fresh[:_REPEATED]) if isinstance(message, Request)]
    contestants = [
        *(Contestant(task="sip_parse_fresh", peer=peer, work=work, inputs=fresh) for peer, work in _parsers()),
        *(Contestant(task="sip_parse_typed_fresh", peer=peer, work=work, inputs=fresh) for peer, work in _typers()),
        Contestant(task="sip_parse_repeated", peer="", work=parse_message, inputs=repeated),
        Contestant(task="sip_parse_typed_repeated", peer="", work=parse_typed, inputs=repeated),
        Contestant(task="sip_serialize", peer="", work=bytes, inputs=requests),
        Contestant(task="sip_respond", peer="", work=_respond, inputs=requests),
    ]
    return [{"name": "sip_invite_size", "value": float(len(fresh[0])), "unit": "bytes"}, *_compare(contestants)]


def _parsers() -> list[tuple[str, Callable[[bytes], object]]]:
    return [("", parse_message), *((peer, parse) for peer, parse, _ in _peers())]


def _typers() -> list[tuple[str, Callable[[bytes], object]]]:
    return [("", parse_typed), *((peer, typed) for peer, _, typed in _peers())]


def _respond(request: Request) -> bytes:
    return bytes(request.response(180, to_tag="x1"))


def _peers() -> list[tuple[str, Callable[[bytes], object], Callable[[bytes], object]]]:
    """Name, parser, and parser with types of each package that is installed."""
    found = [("sipmessage", _sipmessage), ("aiosipua", _aiosipua)]
    return [(name, *make(importlib.import_module(name))) for name, make in found if importlib.util.find_spec(name)]


def _sipmessage(package: Any) -> tuple[Callable[[bytes], object], Callable[[bytes], object]]:
    """It types the Request-URI while it parses."""
    parse: Callable[[bytes], Any] = package.Message.parse

    def typed(data: bytes) -> object:
        message = parse(data)
        _ = message.via, message.from_address, message.to_address, message.cseq, message.contact
        _ = message.route, message.record_route
        return message

    return parse, typed


def _aiosipua(package: Any) -> tuple[Callable[[bytes], object], Callable[[bytes], object]]:
    """It has no typed routes, only what types one address."""
    parse: Callable[[bytes], Any] = package.SipMessage.parse
    address, uri = package.parse_address, package.parse_uri

    def typed(data: bytes) -> object:
        message = parse(data)
        _ = message.via, message.from_addr, message.to_addr, message.cseq, message.contact, uri(message.uri)
        routes = [*message.get_header_values("route"), *message.get_header_values("record-route")]
        return message, [address(route) for route in routes]

    return parse, typed


def _compare(contestants: Sequence[Contestant]) -> list[Row]:
    """Best and median of rounds in which all take turns: whatever else the machine does meets all alike."""
    rounds: list[list[float]] = [[] for _ in contestants]
    for _ in range(ROUNDS):
        for contestant, times in zip(contestants, rounds, strict=True):
            times.append(_round(contestant.work, contestant.inputs) / len(contestant.inputs) * 1e6)
    best = [min(times) for times in rounds]
    ours = {contestant.task: value for contestant, value in zip(contestants, best, strict=True) if not contestant.peer}
    rows: list[Row] = []
    for contestant, value, times in zip(contestants, best, rounds, strict=True):
        row: Row = {"name": contestant.task, "value": round(value, 2), "unit": "us", "median": round(median(times), 2)}
        if contestant.peer:
            row |= {"peer": contestant.peer, "ratio": round(ours[contestant.task] / value, 3)}
        rows.append(row)
    return rows


def _round(work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    start = time.process_time()
    for item in inputs:
        work(item)
    return time.process_time() - start
