"""What we send is what every client understands."""

import pytest

from bridge.core.ids import EventId, MatrixCallId, PartyId, RoomId, UserId
from bridge.core.verdict import MatrixReason
from bridge.matrix import call_content
from bridge.matrix.call_content import CallIdentity, OutgoingEvent
from bridge.matrix.events import CallAnswer, CallInvite, RoomEvent, parse_call_content

CALL = CallIdentity(call_id=MatrixCallId("z1"), party_id=PartyId("Bridge01"))
OLD_CALL = CallIdentity(call_id=MatrixCallId("c1"), party_id=PartyId("Bridge01"), version=0)
COMMON = {"call_id": "z1", "version": "1", "party_id": "Bridge01"}
ALICE = UserId("@alice:example.org")
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio0\r\n"
    "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio0\r\na=msid:stream-1 track-1\r\na=sendrecv\r\n"
)
METADATA = {"stream-1": {"purpose": "m.usermedia", "audio_muted": False, "video_muted": True}}
CAPABILITIES = {"m.call.transferee": True, "m.call.dtmf": True}


def parsed(sent: OutgoingEvent) -> object:
    event = RoomEvent(
        event_id=EventId("$e"),
        room_id=RoomId("!r:example.org"),
        sender=ALICE,
        type=sent.type,
        content=sent.content,
        age_ms=0,
        received_at=0.0,
    )
    return parse_call_content(event)


def test_an_invite() -> None:
    sent = call_content.invite(CALL, sdp=SDP, lifetime_ms=90_000, invitee=ALICE)
    assert sent.type == "m.call.invite"
    assert sent.content == {
        **COMMON,
        "lifetime": 90_000,
        "invitee": ALICE,
        "offer": {"type": "offer", "sdp": SDP},
        "capabilities": CAPABILITIES,
        "sdp_stream_metadata": METADATA,
    }
    assert isinstance(parsed(sent), CallInvite)


def test_an_answer() -> None:
    sent = call_content.answer(CALL, sdp=SDP)
    assert sent.type == "m.call.answer"
    assert sent.content == {
        **COMMON,
        "answer": {"type": "answer", "sdp": SDP},
        "capabilities": CAPABILITIES,
        "sdp_stream_metadata": METADATA,
    }
    assert isinstance(parsed(sent), CallAnswer)


def test_an_answer_to_a_change_within_the_call() -> None:
    sent = call_content.negotiate_answer(CALL, sdp=SDP)
    assert sent.type == "m.call.negotiate"
    assert sent.content == {
        **COMMON,
        "lifetime": 10_000,
        "description": {"type": "answer", "sdp": SDP},
        "sdp_stream_metadata": METADATA,
    }


@pytest.mark.parametrize("line", ["", "a=msid:- track\r\n", "a=msid:\r\n"])
def test_without_a_stream_there_is_no_metadata(line: str) -> None:
    sdp = SDP.replace("a=msid:stream-1 track-1\r\n", line)
    assert "sdp_stream_metadata" not in call_content.answer(CALL, sdp=sdp).content


def test_a_stream_of_another_section_is_not_ours() -> None:
    sdp = "v=0\r\nm=video 9 X 96\r\na=msid:video track\r\nm=audio 9 X 0\r\na=msid:audio track\r\nm=video 0 X 0\r\n"
    assert list(call_content.answer(CALL, sdp=sdp).content["sdp_stream_metadata"]) == ["audio"]


def test_the_end_of_candidates_names_the_real_section() -> None:
    sent = call_content.end_of_candidates(CALL, sdp=SDP)
    assert sent.type == "m.call.candidates"
    assert sent.content == {**COMMON, "candidates": [{"candidate": "", "sdpMid": "audio0", "sdpMLineIndex": 1}]}


def test_a_section_without_a_mid_has_no_null_in_its_place() -> None:
    sent = call_content.end_of_candidates(CALL, sdp="v=0\r\nm=audio 9 X 0\r\n")
    assert sent.content["candidates"] == [{"candidate": "", "sdpMLineIndex": 0}]


def test_a_selected_answer() -> None:
    sent = call_content.select_answer(CALL, selected_party_id=PartyId("PHONE"))
    assert (sent.type, sent.content) == ("m.call.select_answer", {**COMMON, "selected_party_id": "PHONE"})


@pytest.mark.parametrize("reason", list(MatrixReason))
def test_a_reject_and_a_hangup_say_why(reason: MatrixReason) -> None:
    assert call_content.reject(CALL, reason=reason).content == {**COMMON, "reason": str(reason)}
    assert call_content.hangup(CALL, reason=reason).content == {**COMMON, "reason": str(reason)}


def test_a_declined_call_has_no_reason() -> None:
    sent = call_content.reject(CALL, reason=None)
    assert (sent.type, sent.content) == ("m.call.reject", COMMON)


def test_version_zero_is_a_number_and_knows_no_reject() -> None:
    sent = call_content.reject(OLD_CALL, reason=MatrixReason.USER_BUSY)
    assert sent.type == "m.call.hangup"
    assert sent.content == {"call_id": "c1", "version": 0, "party_id": "Bridge01", "reason": "user_busy"}


def test_a_replacement_that_cannot_be_is_named() -> None:
    sent = call_content.reject_replacement(CALL, replacement_id="r1")
    assert sent.type == "m.call.reject_replacement"
    assert sent.content == {**COMMON, "replacement_id": "r1", "reason": "declined"}


def test_who_the_call_is_with_is_said_in_both_spellings() -> None:
    """MSC3086 was never merged: some clients read the one, some the other."""
    sent = call_content.asserted_identity(CALL, number="+15550111", name="Carol", ghost=None)
    assert [event.type for event in sent] == ["m.call.asserted_identity", "org.matrix.call.asserted_identity"]
    assert all(event.content == {**COMMON, "asserted_identity": {"display_name": "Carol"}} for event in sent)


def test_a_ghost_is_named_only_when_it_is_there() -> None:
    ghost = UserId("@_sip_+15550111:example.org")
    for shown in call_content.asserted_identity(CALL, number="+15550111", name="", ghost=ghost):
        assert shown.content["asserted_identity"] == {"display_name": "+15550111", "id": ghost}
    for hidden in call_content.asserted_identity(CALL, number="", name="", ghost=None):
        assert hidden.content["asserted_identity"] is None


def test_a_notice_is_plain_text() -> None:
    assert call_content.notice("No.") == OutgoingEvent(
        type="m.room.message", content={"msgtype": "m.notice", "body": "No."}
    )
