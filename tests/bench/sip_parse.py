"""What one SIP message costs, in microseconds of one core.

The INVITE is of the size that trunks send: about 1,300 bytes, 20 header fields and a session description. "Fresh" rows
cycle through more callers, called numbers and hosts than the address cache holds, so that each address is parsed anew;
"repeated" is one message again and again, as in a retransmission or within a dialog.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from bridge.sip import Request, Response, parse_message

Row = dict[str, str | float]

_T = TypeVar("_T")

_SDP = (
    "v=0\r\no=- 1739520001 1739520001 IN IP4 192.0.2.30\r\ns=-\r\nc=IN IP4 192.0.2.30\r\nt=0 0\r\n"
    "m=audio 31754 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
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
    _ = message.via, message.from_, message.to, message.cseq, message.contacts, message.routes, message.record_routes
    return message


def run() -> list[Row]:
    """Measure and return one row for each figure."""
    fresh = [invite(number) for number in range(2_000)]
    parsed = [parse_message(data) for data in fresh[:200]]
    requests = [message for message in parsed if isinstance(message, Request)]
    return [
        {"name": "sip_invite_size", "value": float(len(fresh[0])), "unit": "bytes"},
        _row("sip_parse_fresh", parse_message, fresh),
        _row("sip_parse_repeated", parse_message, fresh[:1] * 2_000),
        _row("sip_parse_typed_fresh", parse_typed, fresh),
        _row("sip_parse_typed_repeated", parse_typed, fresh[:1] * 2_000),
        _row("sip_serialize", bytes, requests * 10),
        _row("sip_respond", lambda request: bytes(request.response(180, to_tag="x1")), requests * 5),
    ]


def _row(name: str, work: Callable[[_T], object], inputs: Sequence[_T], rounds: int = 7) -> Row:
    """The best of several rounds: whatever else the machine does only ever makes one slower."""
    best = min(_round(work, inputs) for _ in range(rounds))
    return {"name": name, "value": round(best / len(inputs) * 1e6, 2), "unit": "us"}


def _round(work: Callable[[_T], object], inputs: Sequence[_T]) -> float:
    start = time.process_time()
    for item in inputs:
        work(item)
    return time.process_time() - start


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
