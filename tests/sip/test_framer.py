"""A stream of bytes cut into messages, whatever pieces it comes in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip import KeepAlive, SipError, StreamFramer, parse_message
from tests.sip.samples import SDP, request, response
from tests.sip.torture_messages import ACCEPTED

PING = [KeepAlive.PONG, KeepAlive.PING]
STREAM = [
    request(body=SDP),
    response(),
    request("BYE", lines=("Subject: l: 5",)),
    ACCEPTED["wsinv"],
    request("OPTIONS", length=False, lines=("l : 3",)) + b"\r\n\r"[:3],
]


def frames(framer: StreamFramer, *pieces: bytes) -> list[bytes | KeepAlive]:
    return [frame for piece in pieces for frame in framer.feed(piece)]


def refused(wire: bytes, framer: StreamFramer | None = None) -> SipError:
    with pytest.raises(SipError) as caught:
        list((framer or StreamFramer()).feed(wire))
    return caught.value


def test_messages_come_out_as_they_went_in() -> None:
    assert frames(StreamFramer(), b"".join(STREAM)) == STREAM


def test_single_bytes_make_the_same_messages() -> None:
    wire = b"".join(STREAM)
    assert frames(StreamFramer(), *(wire[at : at + 1] for at in range(len(wire)))) == STREAM


@pytest.mark.parametrize("name", sorted(set(ACCEPTED) - {"dblreq"}))
def test_a_stream_gives_the_same_message_as_a_datagram_at_every_cut(name: str) -> None:
    wire = ACCEPTED[name]
    for cut in range(0, len(wire), max(1, len(wire) // 200)):
        assert frames(StreamFramer(), wire[:cut], wire[cut:]) == [wire]
    (frame,) = frames(StreamFramer(), wire)
    assert isinstance(frame, bytes)
    assert parse_message(frame) == parse_message(wire)


@given(
    st.lists(st.sampled_from([*STREAM, b"\r\n", b"\r\n\r\n"]), max_size=6), st.lists(st.integers(0, 4000), max_size=12)
)
def test_cuts_make_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(parts)
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    assert frames(StreamFramer(), *pieces) == frames(StreamFramer(), wire)


LOOKALIKES = (
    *("l: 0", "L:3", "l : 3", "l\t:\t3 ", "Content-Length: 3", "CONTENT-LENGTH:03", "content-length:\r\n 3", "l: 3,3"),
    *("X: y\r\n Content-Length: 9", "Subject: l: 9", "Content-Length-X: 9", "X-Content-Length: 9", "ll: 9"),
    *("l: ", "l: 3 4", 'Subject: "\\r\\nl: 9"', "l;x: 9", "Content_Length: 9", "l: +3", "l: 0x3", "l: ٣"),
)


@given(st.lists(st.sampled_from(LOOKALIKES), max_size=4), st.sampled_from(["l: 3", "Content-Length: 3", "X: y"]))
def test_a_stream_takes_the_same_length_for_the_length_as_a_datagram(lines: list[str], last: str) -> None:
    """A disagreement would let a message hide another one inside it."""
    wire = request(length=False, lines=(*lines, last)) + b"abc"
    try:
        parsed = parse_message(wire)
    except SipError:
        parsed = None
    if parsed is None or "Content-Length" not in parsed.headers:
        with pytest.raises(SipError):
            parse_message(frame_of(wire))
    else:
        assert parse_message(frame_of(wire)) == parsed


def frame_of(wire: bytes) -> bytes:
    """The first message of a stream that goes on with another one."""
    frame = next(iter(StreamFramer().feed(wire + request())))
    assert isinstance(frame, bytes)
    return frame


def test_keep_alives_between_messages_are_reported() -> None:
    framer = StreamFramer()
    assert frames(framer, b"\r\n\r\n") == PING
    assert frames(framer, b"\r", b"\n", b"\r", b"\n") == PING
    assert frames(framer, request(), b"\r\n", request()) == [request(), KeepAlive.PONG, request()]
    assert frames(framer, b"\r\n\r\n" + request()) == [*PING, request()]
    assert framer.pending == 0


def test_a_message_that_has_begun_is_pending() -> None:
    framer = StreamFramer()
    assert frames(framer, b"INV") == []
    assert framer.pending == 3


@pytest.mark.parametrize(
    "line",
    [
        "X: y",
        "Content-Length: -1",
        "Content-Length: 1x",
        "Content-Length:",
        "l: 5\r\nContent-Length: 5",
        "Content-Length: +5",
    ],
)
def test_without_a_usable_length_the_stream_ends_with_an_answer(line: str) -> None:
    error = refused(request(length=False, lines=(line,)))
    assert error.status == 400
    assert error.response is not None
    assert error.response.call_id == "case.1@192.0.2.2"


def test_a_length_may_be_folded() -> None:
    wire = request(length=False, lines=("Content-Length:\r\n  2",)) + b"ab"
    assert frames(StreamFramer(), wire) == [wire]


@pytest.mark.parametrize("length", ["10485760", "65535", "9999999999", "99999999999999999999"])
def test_a_huge_length_is_refused_before_a_byte_of_the_body_is_kept(length: str) -> None:
    framer = StreamFramer()
    error = refused(request(length=False, lines=(f"Content-Length: {length}",)), framer)
    assert error.status in (400, 513)
    assert error.response is not None
    assert framer.pending == 0


def test_an_endless_header_section_is_refused() -> None:
    framer = StreamFramer()
    with pytest.raises(SipError) as caught:
        frames(framer, *[b"X: " + b"y" * 1000 + b"\r\n"] * 20)
    assert caught.value.status == 513
    assert framer.pending == 0


def test_after_a_fault_nothing_more_comes_out() -> None:
    framer = StreamFramer()
    seen: list[bytes | KeepAlive] = []
    broken = request(length=False)
    with pytest.raises(SipError):
        seen.extend(framer.feed(request() + broken + request()))
    assert seen == [request()]
    with pytest.raises(SipError):
        list(framer.feed(request()))
    assert framer.pending == 0


def test_responses_and_acks_get_no_answer() -> None:
    assert refused(request("ACK", length=False)).response is None
    assert refused(response(lines=("l: 5",))).status is None
    assert refused(b"hello\r\n\r\n").status is None


def test_a_stream_of_small_pieces_is_not_searched_again_and_again() -> None:
    framer = StreamFramer(max_message=4_000_000, max_header=2_000_000)
    pieces = [b"X: y\r\n"] * 100_000
    assert frames(framer, b"INVITE sip:a@b SIP/2.0\r\n", *pieces) == []
    assert framer.pending == 24 + 600_000
