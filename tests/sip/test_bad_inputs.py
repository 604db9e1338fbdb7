"""The 63 bad inputs that every SIP element on the internet meets, each with what this one does.

Most are one message to a user agent (`treatment`); those that need a call, a stream or a command of ours are tests
below the table. Nothing may be left behind of any of them.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip import LocalSipError, SipError, StreamFramer
from bridge.sip.events import CallEnded, CallFailed, OutgoingCall
from bridge.sip.fields import NameAddr
from bridge.sip.framer import KeepAlive
from bridge.sip.headers import Headers
from bridge.sip.inputs import PlaceCall
from bridge.sip.message import Request
from bridge.sip.parser import MAX_HEADERS, MAX_LINE
from bridge.sip.settings import TrunkAuth
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked
from tests.sip.samples import SDP, request, response
from tests.sip.scripted_peer import PEER, STRANGER, TRUNK, US, Scripted, peer_request, trunk
from tests.sip.test_torture_sections import WIRES
from tests.sip.treatment import treatment

TEXT = SDP.decode()
UNKNOWN = {"To": "<sip:a@example.org>;tag=nobody"}


MULTIPART = "multipart/mixed;boundary="


def nested(depth: int) -> bytes:
    """Multipart in multipart."""
    body, kind = SDP, "application/sdp"
    for level in range(depth):
        body = f"--b{level}\r\nContent-Type: {kind}\r\n\r\n".encode() + body + f"\r\n--b{level}--\r\n".encode()
        kind = f"{MULTIPART}b{level}"
    return body


def called(user: str) -> bytes:
    """A call to a user part, or to a whole URI."""
    return request(uri=user if ":" in user else f"sip:{user}@{US}" if user else f"sip:{US}", body=SDP)


TORTURE = """
    1  wsinv 481, intmeth 501, esc01 call, escnull 405, esc02 501, lwsdisp 200, longreq call, dblreq 405, semiuri 200
    1  transports 200, mpart01 405, unreason silence, noreason silence
    2  badinv01 400, badinv01-contact 400
    3  clerr 400
    4  ncl 400
    5  scalar02-cseq 400, scalar02-max-forwards 400, scalar02-expires 400
    6  scalarlg silence
    7  quotbal 400
    8  ltgtruri 400
    9  lwsruri 400
    10 lwsstart 400
    11 trws 400
    12 escruri 400
    13 baddate call
    14 regbadct 405
    15 badaspec 400
    16 baddn 200
    17 badvers 505
    18 mismatch01 400
    19 mismatch02 400
    20 bigcode silence
    21 badbranch 200
    22 insuf 400
    23 unkscm 416, novelsc 416
    24 unksm2 405
    25 bext01 420
    26 invut 415
    27 regaut01 405
    28 multi01 400
    29 mcl01 400
    30 bcast silence
    31 zeromf 200
    32 cparam01 405, cparam02 405, regescrt 405
    33 sdp01 406
    34 inv2543 call
    35 ipv6-bad 400
    36 port-ambiguous 405
    37 via-received-param-with-delim 481, via-received-param-no-delim 200
    38 ipv4-mapped-ipv6 call
    39 ipv6-bug-abnf-3-colons 400
"""

INPUTS: list[tuple[int, str, bytes, str]] = [
    (6, "status below 100", response("SIP/2.0 99 Low"), "silence"),
    (20, "status above 699", response("SIP/2.0 700 High"), "silence"),
    (24, "scheme of Contact that nobody can call", request(changes={"Contact": "<isbn:2983792873>"}), "400"),
    (40, "NUL in a header", request(changes={"Subject": "a\0b"}), "400"),
    (40, "bytes that are no UTF-8", request().replace(b"Max-", b"Subject: \xff\xfe\r\nMax-"), "400"),
    (40, "the same in a display name", request().replace(b"From: <", b'From: "\xff\xfe" <'), "call"),
    (42, "a line too long", request(changes={"Subject": "x" * MAX_LINE}), "400"),
    (42, "a start line too long", request(uri=f"sip:{'1' * MAX_LINE}@{US}"), "400"),
    (42, "too many headers", request(lines=("X: y",) * MAX_HEADERS), "400"),
    (42, "a message too long", request(changes={"Subject": "x" * 70_000}), "513"),
    (45, "a response to nothing", response(), "silence"),
    (45, "a final response to nothing", response("SIP/2.0 407 Who"), "silence"),
    (46, "an ACK for nothing", request("ACK"), "silence"),
    (46, "an ACK of no dialog", request("ACK", changes=UNKNOWN), "silence"),
    (47, "a CANCEL of nothing", request("CANCEL"), "481"),
    *(
        (48, f"{name} of no dialog", request(name, changes=UNKNOWN), "481")
        for name in ("BYE", "INFO", "UPDATE", "REFER")
    ),
    (51, "INVITE of a dialog before our restart", request(changes=UNKNOWN, body=SDP), "481"),
    (57, "REFER", request("REFER", changes={"Refer-To": "<sip:x@example.org>"}), "403"),
    (57, "Replaces", request(changes={"Replaces": "a;to-tag=b;from-tag=c"}, body=SDP), "403"),
    (57, "Join", request(changes={"Join": "a;to-tag=b;from-tag=c", "Require": "join"}, body=SDP), "420"),
    (58, "gzip bomb", request(changes={"Content-Encoding": "gzip"}, body=SDP), "415"),
    (59, "multipart in multipart", request(changes={"Content-Type": f"{MULTIPART}b99"}, body=nested(100)), "415"),
    (62, "visual separators", called("tel:+49(0)30-123"), "call"),
    (62, "a blank in a telephone number", called("tel:+49(0)30-1%2023"), "400"),
    (62, "phone-context", called("tel:123;phone-context=+4930"), "call"),
    (62, "isub", called(f"sip:+4930123;isub=1@{US};user=phone"), "call"),
    (62, "tgrp", called(f"sip:+4930123;tgrp=x;trunk-context=y@{US}"), "call"),
    *(
        (63, f"called {user or 'nobody'}", called(user), "call")
        for user in ("00", "0900123456", "+", "", "4" * 40, "911", "112", "*%2306%23", "%D9%A1%D9%A1%D9%A1")
    ),
]  # fmt: skip

ROWS = [
    *(
        (int(number), name, WIRES[name], expected)
        for number, cases in (line.split(maxsplit=1) for line in TORTURE.strip().splitlines())
        for name, expected in (case.split() for case in cases.split(","))
    ),
    *INPUTS,
]


@pytest.mark.parametrize(("number", "title", "wire", "expected"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_a_bad_input_gets_what_it_deserves(number: int, title: str, wire: bytes, expected: str) -> None:
    assert treatment(wire) == expected


def test_no_number_is_missing() -> None:
    tests = {node.name for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.FunctionDef)}
    numbers = {int(found[1]) for name in tests if (found := re.match(r"test_(\d+)_", name))}
    assert numbers | {row[0] for row in ROWS} == set(range(1, 64))


# What needs more than one message.


@pytest.mark.parametrize("name", ["ncl", "mcl01"])
def test_4_and_29_end_a_stream(name: str) -> None:
    with pytest.raises(SipError) as caught:
        list(StreamFramer().feed(WIRES[name]))
    assert caught.value.status == 400


EVIL = "1\r\nX-Evil: yes"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Headers((("Subject", EVIL),)),
        lambda: Headers(((EVIL, "x"),)),
        lambda: Request("INVITE", f"sip:{EVIL}@{US}", Headers(()), b""),
        lambda: Request(EVIL, f"sip:a@{US}", Headers(()), b""),
        lambda: bytes(peer_request("INVITE").response(486, EVIL)),
        lambda: str(SipUri("sip", None, None, EVIL)),
    ],
)  # fmt: skip
def test_41_a_line_that_goes_out_cannot_hold_another(make: Callable[[], object]) -> None:
    with pytest.raises((LocalSipError, SipError)):
        make()


def test_41_where_names_and_numbers_are_escaped_they_stay_in_their_line() -> None:
    for text in (
        str(NameAddr(EVIL, SipUri("sip", EVIL, None, US))),
        str(SipUri("sip", EVIL, None, US, None, {"p": EVIL})),
    ):
        assert "\r" not in text
        assert "\n" not in text


def test_43_a_length_of_ten_megabytes_is_refused_before_the_body_comes() -> None:
    framer = StreamFramer()
    with pytest.raises(SipError) as caught:
        list(framer.feed(request(lines=("Content-Length: 10000000",), length=False)))
    assert caught.value.status == 513
    assert framer.pending == 0


def test_44_a_ping_is_told_from_a_pong() -> None:
    assert list(StreamFramer().feed(b"\r\n\r\n")) == [KeepAlive.PONG, KeepAlive.PING]


def test_47_a_cancel_after_the_answer_changes_nothing() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=TEXT))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=TEXT))
    peer.sent.clear()
    peer.receive(peer_request("CANCEL"))
    assert peer.titles() == ["200 CANCEL"]
    assert peer.agent.open_dialogs == 1


@pytest.mark.parametrize("tags", [("none", "peer"), (None, "none")])
def test_48_one_wrong_tag_is_another_dialog(tags: tuple[str | None, str]) -> None:
    peer = Scripted()
    _, _, ours = peer.accepted_call()
    from_ = f"<sip:+15550123@example.org>;tag={tags[1]}"
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tags[0] or ours, from_=from_))
    assert peer.titles() == ["481 BYE"]
    assert peer.agent.open_dialogs == 1


def test_49_a_lower_cseq_is_500_and_a_copy_gets_the_same_answer() -> None:
    peer = Scripted()
    _, _, ours = peer.accepted_call()
    options = peer_request("OPTIONS", cseq=9, branch="new", to_tag=ours)
    peer.receive(options)
    peer.receive(options)
    peer.receive(peer_request("OPTIONS", cseq=8, branch="old", to_tag=ours))
    assert peer.titles() == ["200 OPTIONS", "200 OPTIONS", "500 OPTIONS"]
    assert peer.sent[0][0] == peer.sent[1][0]


def test_50_an_offer_before_the_last_one_is_settled_is_500_and_says_when_to_come_back() -> None:
    peer = Scripted()
    _, _, ours = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="re", to_tag=ours, sdp=TEXT))
    peer.receive(peer_request("INVITE", cseq=3, branch="rere", to_tag=ours, sdp=TEXT))
    answer = peer.last_response()
    assert answer.status == 500
    assert 0 <= int(answer.headers.get("Retry-After") or -1) <= 10


def test_52_a_via_of_another_address_gets_its_answer_at_the_source() -> None:
    peer = Scripted()
    lying = peer_request("OPTIONS")
    lying.headers.set("Via", "SIP/2.0/UDP 10.9.9.9:5099;branch=z9hG4bKlying;rport")
    peer.receive(lying, port=5071)
    answer, flow = peer.sent[-1]
    assert (flow.host, flow.port) == (PEER, 5071)
    assert (answer.via.received, answer.via.params["rport"]) == (PEER, "5071")


@pytest.mark.parametrize("claim", ["reused", "MD5-sess", "nonsense"])
def test_53_credentials_of_a_peer_are_no_use_to_it(claim: str) -> None:
    """We challenge nobody, so nothing can be replayed: who may call is a matter of addresses."""
    digest = (
        f'Digest username="a", realm="lab", nonce="{claim}", uri="sip:b", response="0", nc=00000001, algorithm={claim}'
    )
    wire = bytes(peer_request("INVITE", sdp=TEXT, fields=(("Authorization", digest),)))
    assert treatment(wire) == "call"
    assert treatment(wire, source=STRANGER) == "silence"


def test_54_a_challenge_inside_a_dialog_is_not_answered_to_somebody_else() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    dialog = peer.answered_call()
    peer.steer(dialog, HangUpAsked())
    peer.challenge(peer.last_request("BYE"))
    assert peer.titles() == ["BYE"]
    assert peer.agent.open_dialogs == 0


def test_55_a_realm_that_is_not_the_configured_one_gets_no_credentials() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST, realm="lab"))
    peer.call()
    peer.challenge(peer.last_request("INVITE"), realm="elsewhere")
    assert peer.titles() == ["INVITE", "ACK"]


@pytest.mark.parametrize(
    "contacts",
    [
        "<sip:127.0.0.1>",
        f"<sip:+15550100@{US}>",
        "<sip:+19005551234@example.com>",
        ", ".join(f"<sip:{number}@example.com>" for number in range(50)),
    ],
)
def test_56_a_redirect_is_not_followed_unless_the_trunk_is_trusted_with_it(contacts: str) -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 302, Contact=contacts)
    assert peer.titles() == ["INVITE", "ACK"]
    assert isinstance(peer.last_event(), CallFailed)


@pytest.mark.parametrize("signal", ["9" * 500, "", "AB", "17", "-1", "\x01"])
def test_60_a_key_that_is_none_is_refused_and_the_call_goes_on(signal: str) -> None:
    peer = Scripted()
    _, _, ours = peer.accepted_call()
    info = peer_request(
        "INFO", cseq=2, branch="info", to_tag=ours, fields=(("Content-Type", "application/dtmf-relay"),)
    )
    info.body = f"Signal={signal}\r\nDuration=160\r\n".encode()
    peer.receive(info)
    assert peer.last_response().status in (400, 415)
    assert not any(isinstance(event, CallEnded) for event in peer.events)


@pytest.mark.parametrize("trusted", [True, False])
def test_61_an_identity_counts_only_from_a_trunk_that_is_trusted_with_it(trusted: bool) -> None:
    peer = Scripted(trunk(trust_identity=trusted))
    fields = (("P-Asserted-Identity", "<sip:+15557777@example.org>"),)
    peer.receive(peer_request("INVITE", sdp=TEXT, fields=fields))
    assert (peer.incoming.caller == "+15557777") is trusted


@pytest.mark.parametrize("user", ["", "+", "4" * 40, "*#06#", "١١١", "0900\r\nX: y", "a b", "\0"])
def test_63_a_call_to_an_odd_number_is_one_line_or_none(user: str) -> None:
    """Who may call what is the policy's to say; here nothing may leave that is not one request to one address."""
    peer = Scripted()
    call = OutgoingCall(trunk=TrunkName(TRUNK), called=user, caller="+15550199", sdp=TEXT)
    peer.feed(PlaceCall(dialog=DialogKey("odd"), call=call))
    if peer.sent:
        assert {name for name, _ in peer.last_request("INVITE").headers} <= OURS
    else:
        assert isinstance(peer.last_event(), CallFailed)


OURS = {
    *("Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Allow", "Accept", "Supported", "User-Agent"),
    *("P-Asserted-Identity", "Content-Type", "Content-Length", "Session-Expires", "Min-SE", "Require"),
}
