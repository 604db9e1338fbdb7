"""Whole messages: what is let in, what is answered, what is dropped, and that nothing takes long."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip import Headers, NameAddr, Request, Response, SipError, SipUri, Via, parse_message
from tests.sip.samples import SDP, request, response
from tests.sip.torture_messages import ACCEPTED

TOKENS = st.from_regex(r"[A-Za-z0-9.!%*_+`'~-]{1,12}", fullmatch=True)
WORDS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=30)
VALUES = WORDS.map(lambda text: text.strip(" \t"))
ADDRESS_VIEWS = ("from_", "to", "contacts", "routes", "record_routes", "asserted_identities")
TOKEN_VIEWS = ("call_id", "expires", "content_type", "require", "challenges")
VIEWS = ("via", "vias", "cseq", *ADDRESS_VIEWS, *TOKEN_VIEWS)


def refused(data: bytes) -> SipError:
    with pytest.raises(SipError) as caught:
        parse_message(data)
    return caught.value


def parsed(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def test_an_invite_is_read() -> None:
    invite = parsed(request(body=SDP, changes={"Content-Type": "application/sdp"}))
    assert (invite.method, invite.uri_text, invite.call_id) == ("INVITE", "sip:callee@example.org", "case.1@192.0.2.2")
    assert (invite.via.branch, invite.from_.tag, invite.to.tag) == ("z9hG4bKcase", "c1", None)
    assert (invite.content_type, invite.body) == ("application/sdp", SDP)


def test_a_response_is_read() -> None:
    answer = parse_message(response("sip/2.0 486 Busy Here", lines=("Expires: 4294967295",)))
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason_phrase, answer.expires) == (486, "Busy Here", 4294967295)
    assert bytes(answer).startswith(b"SIP/2.0 486 Busy Here\r\n")
    bare = parse_message(response("SIP/2.0 100"))
    assert isinstance(bare, Response)
    assert bare.reason_phrase == ""


def test_without_a_length_the_body_is_the_rest_of_the_datagram() -> None:
    assert parsed(request(body=SDP, length=False)).body == SDP


def test_line_ends_before_a_message_are_skipped() -> None:
    assert parsed(b"\r\n\r\n" + request()).method == "INVITE"


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"hello", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00\x21\x12"],
)
def test_what_is_no_sip_is_dropped(data: bytes) -> None:
    error = refused(data)
    assert (error.status, error.response) == (None, None)


@pytest.mark.parametrize(
    "data",
    [
        response("SIP/2.0 700 Too Much"),
        response("SIP/2.0 99 Too Little"),
        response("SIP/2.0 2000 OK"),
        response("SIP/3.0 200 OK"),
        response("SIP/2.0  200 OK"),
        response(changes={"Via": None}),
        response(changes={"CSeq": "x"}),
        response(lines=("Via: nonsense",)),
        response(changes={"To": "nonsense"}),
        response(lines=("To: <sip:other@example.org>",)),
        response(lines=("no header",)),
        response()[:-2],
        response(body=b"four")[:-1],
    ],
)
def test_a_malformed_response_is_dropped(data: bytes) -> None:
    error = refused(data)
    assert (error.status, error.response) == (None, None)


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_each_mandatory_header_must_be_there(name: str) -> None:
    for changes in ({name: None}, {name: ""}):
        error = refused(request(changes=changes))
        assert (error.status, error.reason) == (400, f"Missing {name}") or name == "Via"
        assert (error.response is None) == (name == "Via")


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq", "Max-Forwards"])
def test_headers_that_must_be_single_are(name: str) -> None:
    wire = request()
    line = next(line for line in wire.split(b"\r\n") if line.startswith(name.encode()))
    assert refused(wire.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")).reason == f"Repeated {name}"


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (request(lines=("Subject: a\nVia: b",)), 400),
        (request(lines=("Subject: a\rVia: b",)), 400),
        (request(lines=("Subject: a\0b",)), 400),
        (request(lines=("Subject: a\\\0b",)), 400),
        (request(lines=("Subject : \udcff",)), 400),
        (request(lines=(": nameless",)), 400),
        (request(lines=("Bad Name: x",)), 400),
        (request(lines=("no colon",)), 400),
        (request(changes={"Call-ID": "a b"}), 400),
        (request(changes={"Call-ID": "\u00e4"}), 400),
        (request(changes={"To": "<sip:a@b\0>"}), 400),
        (request(changes={"Max-Forwards": "-1"}), 400),
        (request(changes={"Max-Forwards": "\u0661"}), 400),
        (request(changes={"Max-Forwards": "9" * 6000}), 400),
        (request(length=False, lines=("Content-Length: 99999999999",)), 400),
        (request(uri="sip:a@example.org:99999"), 400),
        (request(uri="sip:al\u00efce@example.org"), 400),
        (request()[:-2], 400),
        (request(lines=("Subject: " + "x" * 8192,)), 400),
        (request(lines=("X-A: y",) * 200), 400),
        (request(lines=("X-A: y",) * 2000), 400),
        (request(lines=("Subject: x" + "\r\n x" * 1500,)), 400),
        (request(lines=("Subject: x" + ("\r\n " + "x" * 3000) * 3,)), 400),
        (request(uri="sip:" + "a" * 9000 + "@example.org"), 400),
        (request(body=b"x" * 65_536), 513),
        (request(line="INVITE sip:a@example.org sip/3.0"), 505),
    ],
)
def test_a_malformed_request_is_answered(wire: bytes, status: int) -> None:
    error = refused(wire)
    assert error.status == status
    assert error.response is not None
    assert error.response.status == status
    assert error.response.headers.get("Via") == "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKcase"


def test_the_answer_is_the_same_for_each_copy_of_a_request_and_differs_between_requests() -> None:
    first, again = refused(request(uri="urn:x")), refused(request(uri="urn:x"))
    other = refused(request(uri="urn:x", changes={"Call-ID": "other"}))
    assert first.response == again.response != other.response
    assert first.response is not None
    assert first.response.to.tag


def test_the_answer_keeps_a_tag_and_an_unreadable_to() -> None:
    tagged = refused(request(uri="urn:x", changes={"To": "<sip:a@example.org>;tag=own"})).response
    unreadable = refused(request(changes={"To": '"x <sip:a@example.org>'})).response
    assert tagged is not None
    assert tagged.to.tag == "own"
    assert unreadable is not None
    assert unreadable.headers.get("To") == '"x <sip:a@example.org>'


def test_a_malformed_ack_is_never_answered() -> None:
    for wire in (
        request("ACK", "urn:x"),
        request("ACK", changes={"To": None}),
        request("ACK", body=b"x" * 65_536),
        request("INVITE", changes={"CSeq": "1 ACK"}),
    ):
        assert (refused(wire).status, refused(wire).response) == (None, None)


def test_bytes_that_are_no_utf8_are_replaced_in_display_names_only() -> None:
    wire = request(changes={"From": '"J\udcfcrgen" <sip:j@example.net>;tag=1'})
    assert parsed(wire).from_.display_name == "J\ufffdrgen"
    assert refused(request(changes={"From": '"J" <sip:j\udcfc@example.net>;tag=1'})).status == 400
    assert refused(request(lines=("Organization: J\udcfcrgen",))).status == 400


def test_limits_are_inclusive() -> None:
    assert parsed(request(lines=("X-A: y",) * 192)).method == "INVITE"
    assert parsed(request(lines=("Subject: " + "x" * (8192 - 9),))).method == "INVITE"


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_message_cut_anywhere_is_refused_or_shorter_but_never_raises_anything_else(name: str) -> None:
    wire = ACCEPTED[name]
    for end in range(0, len(wire), max(1, len(wire) // 300)):
        look(wire[:end])


def look(data: bytes) -> None:
    """Parse and use every view; nothing but a `SipError` may come of it."""
    try:
        message = parse_message(data)
    except SipError as error:
        check_answer(error)
        return
    assert parse_message(bytes(message)) == message
    _ = message.via, message.from_, message.to, message.cseq, message.call_id, bytes(message)
    for view in VIEWS:
        with contextlib.suppress(SipError):
            getattr(message, view)
    if isinstance(message, Request):
        assert parse_message(bytes(message.response(200, to_tag="t"))).cseq == message.cseq


def check_answer(error: SipError) -> None:
    """An answer has no line that its request smuggled in."""
    if error.response is not None:
        wire = bytes(error.response)
        names = {line.partition(b":")[0] for line in wire.split(b"\r\n")[1:] if line}
        assert names <= {b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length"}
        assert b"\0" not in wire


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda junk: request()[:-40] + junk))
def test_any_bytes_are_a_message_or_a_sip_error(data: bytes) -> None:
    look(data)


@given(st.sampled_from(sorted(ACCEPTED)), st.integers(0), st.binary(max_size=6), st.integers(0, 12))
def test_any_damage_leaves_a_message_or_a_sip_error(name: str, at: int, junk: bytes, dropped: int) -> None:
    wire = ACCEPTED[name]
    at %= len(wire)
    look(wire[:at] + junk + wire[at + dropped :])


@given(
    method=TOKENS.filter(lambda method: method != "ACK"),
    user=st.none() | WORDS.filter(bool),
    name=WORDS,
    extra=st.lists(st.tuples(TOKENS.map(lambda token: f"X-{token}"), VALUES), max_size=8),
    body=st.binary(max_size=200),
)
def test_what_is_written_is_read_back(
    method: str, user: str | None, name: str, extra: list[tuple[str, str]], body: bytes
) -> None:
    uri = SipUri("sip", user, None, "example.org", 5060)
    headers = Headers([("Via", str(Via("UDP", "192.0.2.1", 5060, {"branch": "z9hG4bK1", "rport": None}))), *extra])
    headers.add("From", str(NameAddr(name, uri, {"tag": "1"})))
    headers.add("To", str(NameAddr("", uri)))
    headers.add("Call-ID", "c")
    headers.add("CSeq", f"1 {method}")
    sent = Request(method, uri, headers, body)
    received = parse_message(bytes(sent))
    assert received == sent
    assert received.from_.uri == uri
    answered = sent.response(200, to_tag="t", body=body)
    assert parse_message(bytes(answered)) == answered


def test_messages_that_differ_are_not_equal() -> None:
    assert parse_message(request()) != parse_message(request(body=b"x"))
    assert parse_message(request()) != parse_message(request(uri="sip:x@example.org"))
    assert parse_message(request()) != 1


HOSTILE = {
    "blanks": " " * 60_000,
    "newlines": "\n" * 60_000,
    "line ends": "\r\n" * 30_000,
    "folds": "\r\n " * 20_000,
    "tabs": "\t\r\n" * 20_000,
    "colons": ":" * 60_000,
    "quotes": '"' * 60_000,
    "escaped quotes": '"' + '\\"' * 30_000,
    "backslashes": '"' + "\\" * 59_999,
    "brackets": "<" * 60_000,
    "semicolons": ";" * 60_000,
    "parameters": ";a" * 30_000,
    "spaced parameters": "  ;  a  =  b" * 5_000,
    "commas": "," * 60_000,
    "quoted commas": '",",' * 15_000,
    "digits": "9" * 60_000,
    "percent": "%" * 60_000,
    "escapes": "%41" * 20_000,
    "slashes": "SIP/" * 15_000,
    "versions": "SIP/2.0 " * 7_500,
    "at signs": "a@" * 30_000,
    "user": "sip:" + "a" * 60_000,
    "host": "sip:a@" + "a." * 30_000,
    "colon pairs": "a:" * 30_000,
    "uri parameters": "<sip:a" + ";a=b" * 15_000,
    "short lines": "\r\na: b" * 10_000,
    "short vias": "\r\nv: SIP/2.0/UDP a" * 3_500,
    "new names": "".join(f"\r\nX{number}: y" for number in range(6_000)),
    "challenges": 'Digest realm="' + 'a",b="' * 10_000,
}


@pytest.mark.parametrize(
    "place", ["{}", "INVITE {} SIP/2.0", "{}: x", "Via", "From", "To", "Contact", "CSeq", "WWW-Authenticate"]
)
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_message_takes_long(kind: str, place: str) -> None:
    text = HOSTILE[kind]
    if "{}" not in place:
        wire = request(changes={place: text})
    elif place.startswith("INVITE"):
        wire = request(line=place.format(text))
    else:
        wire = request(lines=(place.format(text),))
    start = time.thread_time()
    look(wire)
    direct_views(text)
    # A guard against quadratic work, which takes minutes here; not a measurement, so a busy machine cannot fail it.
    assert time.thread_time() - start < 1.0


def direct_views(text: str) -> None:
    """The typed views without the limits on lines that the parser sets."""
    if any(character in text for character in "\r\n\0"):
        return
    for name in ("Via", "From", "Contact", "Route", "CSeq", "Max-Forwards", "Require", "WWW-Authenticate"):
        sample = Request("INVITE", "sip:a@example.org", [(name, text)])
        for view in VIEWS:
            with contextlib.suppress(SipError):
                getattr(sample, view)
