"""What clients send is understood, and what strangers send does no harm."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import EventId, RoomId, UserId
from bridge.matrix.events import (
    CallAnswer,
    CallCandidates,
    CallContent,
    CallHangup,
    CallInvite,
    CallNegotiate,
    CallReject,
    CallRemark,
    CallReplaces,
    CallSelectAnswer,
    InvalidCallEvent,
    RoomEvent,
    TrickledCandidate,
    parse_call_content,
)

FIXTURES = Path(__file__).parent / "fixtures"
SDP = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
TYPES = ("invite", "candidates", "answer", "select_answer", "reject", "hangup", "negotiate", "replaces")


def event(kind: str, content: Any, state_key: str | None = None) -> RoomEvent:
    return RoomEvent(
        event_id=EventId("$event"),
        room_id=RoomId("!room:example.org"),
        sender=UserId("@alice:example.org"),
        type=kind,
        content=content,
        state_key=state_key,
        age_ms=0,
        received_at=0.0,
    )


def parse(kind: str, **content: Any) -> Any:
    return parse_call_content(event(f"m.call.{kind}", {"call_id": "c1", "version": "1", "party_id": "P", **content}))


def invite(**content: Any) -> CallInvite:
    parsed = parse("invite", **{"offer": {"type": "offer", "sdp": SDP}, "lifetime": 60000, **content})
    assert isinstance(parsed, CallInvite)
    return parsed


def recorded(name: str) -> list[CallContent | None]:
    raws = json.loads((FIXTURES / f"js-sdk43-{name}.json").read_text())
    return [parse_call_content(event(raw["type"], raw["content"])) for raw in raws]


# --- the clients ------------------------------------------------------------------------------------------------------


def test_a_recorded_call_of_matrix_js_sdk() -> None:
    offer, trickled, ours, _, selected, hangup = recorded("browser-out")
    assert isinstance(offer, CallInvite)
    assert (offer.lifetime_ms, offer.invitee, offer.version) == (60000, None, 1)
    assert offer.sdp.startswith("v=0\r\n")
    assert isinstance(trickled, CallCandidates)
    assert [candidate.sdp_mid for candidate in trickled.candidates] == ["0", "0"]
    assert isinstance(ours, CallAnswer)
    assert isinstance(selected, CallSelectAnswer)
    assert selected.selected_party_id == ours.party_id
    assert isinstance(hangup, CallHangup)
    assert hangup.reason == "user_hangup"
    assert {content.call_id for content in (offer, trickled, ours, selected, hangup)} == {offer.call_id}


def test_a_recorded_cancel_has_no_reason() -> None:
    *_, hangup = recorded("caller-cancel")
    assert isinstance(hangup, CallHangup)
    assert hangup.reason is None


def test_two_recorded_devices_answer_with_their_own_party() -> None:
    answers = [content for content in recorded("both-devices-answer") if isinstance(content, CallAnswer)]
    assert len({answer.party_id for answer in answers}) == 2


def test_a_recorded_reject() -> None:
    assert isinstance(recorded("browser-reject")[-1], CallReject)


def test_a_recorded_hold_negotiates_and_remarks_on_the_streams() -> None:
    contents = recorded("hold")
    offers = [content for content in contents if isinstance(content, CallNegotiate)]
    assert [offer.description_type for offer in offers] == ["offer", "answer", "offer", "answer"]
    assert all(isinstance(content, CallRemark) for content in contents[5:7])


@pytest.mark.parametrize(
    ("extra", "lifetime_ms", "invitee"),
    [
        pytest.param({"lifetime": 120000}, 120000, None, id="Element Android"),
        pytest.param(
            {"lifetime": 30000, "invitee": "@_sip_+15550100:example.org", "capabilities": {"m.call.transferee": False}},
            30000,
            "@_sip_+15550100:example.org",
            id="Element iOS",
        ),
        pytest.param(
            {"lifetime": 120000, "invitee": "@_sip_+15550100:example.org", "party_id": "aBcD1234"},
            120000,
            "@_sip_+15550100:example.org",
            id="Nheko",
        ),
        pytest.param({"invitee_device_id": "DEVICE", "sdp_stream_metadata": {}}, 60000, None, id="Dart SDK"),
    ],
)
def test_an_invite_of_each_client(extra: dict[str, Any], lifetime_ms: int, invitee: str | None) -> None:
    parsed = invite(**extra)
    assert (parsed.lifetime_ms, parsed.invitee) == (lifetime_ms, invitee)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "audio", "sdpMLineIndex": 0},
            TrickledCandidate(
                candidate="candidate:1 1 udp 1 192.0.2.1 9 typ host", sdp_mid="audio", sdp_m_line_index=0
            ),
        ),
        (
            {"candidate": "candidate:1 1 UDP 1 fe80::1 9 typ host", "sdpMid": "", "sdpMLineIndex": 0},
            TrickledCandidate(candidate="candidate:1 1 UDP 1 fe80::1 9 typ host", sdp_m_line_index=0),
        ),
        ({"candidate": ""}, TrickledCandidate(candidate="")),
        ({"candidate": "x", "sdpMid": None, "sdpMLineIndex": None}, TrickledCandidate(candidate="x")),
        ({"candidate": "x", "sdpMid": 0, "sdpMLineIndex": "0"}, TrickledCandidate(candidate="x")),
        ({"candidate": "x", "sdpMLineIndex": -1}, TrickledCandidate(candidate="x")),
        ({"candidate": "x", "sdpMLineIndex": True}, TrickledCandidate(candidate="x")),
    ],
)
def test_candidates_of_each_client(entry: dict[str, Any], expected: TrickledCandidate) -> None:
    assert parse("candidates", candidates=[entry]).candidates == (expected,)


# --- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "expected"), [(0, 0), ("0", 0), ("1", 1), (1, 1), ("2", 1), (None, 1), (False, 1)])
def test_everything_but_zero_is_version_one(version: object, expected: int) -> None:
    assert invite(version=version).version == expected


def test_a_missing_version_is_version_one() -> None:
    parsed = parse_call_content(event("m.call.hangup", {"call_id": "c1"}))
    assert isinstance(parsed, CallHangup)
    assert (parsed.version, parsed.party_id, parsed.reason) == (1, None, None)


@pytest.mark.parametrize("party_id", [None, "", 5])
def test_a_senseless_party_is_no_party(party_id: object) -> None:
    assert invite(party_id=party_id).party_id is None


def test_version_zero_knows_no_party() -> None:
    assert invite(version=0, party_id="P").party_id is None


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (60000, 60000),
        (1, 5000),
        (10**18, 180000),
        (1e18, 180000),
        (10**400, 180000),
        (float("inf"), 180000),
        (-1, 60000),
        (0, 60000),
        (float("nan"), 60000),
        ("60000", 60000),
        (None, 60000),
        (True, 60000),
        (30000.5, 30000),
    ],
)
def test_a_lifetime_is_kept_within_reason(lifetime: object, expected: int) -> None:
    assert invite(lifetime=lifetime).lifetime_ms == expected


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("invite", {"call_id": None}, "call_id"),
        ("invite", {"call_id": ""}, "call_id"),
        ("invite", {"call_id": 7}, "call_id"),
        ("invite", {"call_id": "c" * 256}, "too_long"),
        ("invite", {"call_id": "\ud800"}, "not_unicode"),
        ("invite", {"offer": None}, "no_description"),
        ("invite", {"offer": "v=0"}, "no_description"),
        ("invite", {"offer": {"type": "answer", "sdp": SDP}}, "description_type"),
        ("invite", {"offer": {"type": "offer"}}, "no_sdp"),
        ("invite", {"offer": {"type": "offer", "sdp": ""}}, "no_sdp"),
        ("invite", {"offer": {"type": "offer", "sdp": "v" * 65537}}, "too_long"),
        ("invite", {"offer": {"type": "offer", "sdp": "é" * 40000}}, "too_long"),
        ("invite", {"offer": {"sdp": SDP}, "invitee": {}}, "invitee"),
        ("candidates", {"candidates": {}}, "candidates"),
        ("candidates", {}, "candidates"),
        ("answer", {"answer": {"type": "pranswer", "sdp": SDP}}, "description_type"),
        ("answer", {"answer": {"type": 5, "sdp": SDP}}, "description_type"),
        ("negotiate", {"description": {"sdp": SDP}}, "description_type"),
        ("select_answer", {"selected_party_id": "p" * 256}, "too_long"),
        ("hangup", {"reason": "r" * 256}, "too_long"),
    ],
)
def test_what_cannot_be_used_says_why(kind: str, content: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidCallEvent) as raised:
        parse(kind, **content)
    assert raised.value.reason == reason


def test_a_call_event_cannot_be_state() -> None:
    with pytest.raises(InvalidCallEvent, match="state_event"):
        parse_call_content(event("m.call.invite", {"call_id": "c1"}, state_key=""))


def test_a_redacted_event_is_nothing_to_act_on() -> None:
    with pytest.raises(InvalidCallEvent, match="redacted"):
        parse_call_content(event("m.call.invite", {}))


@pytest.mark.parametrize("kind", ["m.room.message", "m.call.member", "m.call", "m.call.notify", ""])
def test_other_events_are_not_ours(kind: str) -> None:
    assert parse_call_content(event(kind, {"call_id": "c1"})) is None


def test_a_transfer_to_a_new_call() -> None:
    target = {"id": "@_sip_+15550111:example.org", "display_name": "Carol", "avatar_url": None}
    wish = parse("replaces", replacement_id="r1", target_user=target, create_call="new")
    assert isinstance(wish, CallReplaces)
    assert (wish.replacement_id, wish.target, wish.create_call) == ("r1", "@_sip_+15550111:example.org", "new")


def test_a_transfer_to_a_call_that_is_to_come_of_a_client_of_version_0() -> None:
    wish = parse("replaces", version=0, party_id="IGNORED", target_user=None, await_call="new")
    assert (wish.create_call, wish.target, wish.version, wish.party_id) == (None, None, 0, None)


def test_a_transfer_to_no_call_is_none() -> None:
    with pytest.raises(InvalidCallEvent, match="replaces"):
        parse("replaces", target_user={"id": "@carol:example.org"})


@pytest.mark.parametrize(
    "kind",
    [
        *("m.call.sdp_stream_metadata_changed", "org.matrix.call.sdp_stream_metadata_changed"),
        *("m.call.asserted_identity", "org.matrix.call.asserted_identity", "m.call.reject_replacement"),
    ],
)
def test_remarks_are_known(kind: str) -> None:
    assert isinstance(parse_call_content(event(kind, {"call_id": "c1"})), CallRemark)


def test_group_calls_are_not_ours() -> None:
    assert parse("invite", offer={"sdp": SDP}, conf_id="conference") is None


def test_an_offer_need_not_say_that_it_is_one() -> None:
    assert invite(offer={"sdp": SDP}).sdp == SDP


def test_one_senseless_candidate_does_not_cost_the_others() -> None:
    entries = [None, 5, {}, {"candidate": 5}, {"candidate": "x" * 2000}, {"candidate": "\ud800"}, {"candidate": "good"}]
    assert parse("candidates", candidates=entries).candidates == (TrickledCandidate(candidate="good"),)


def test_ten_thousand_candidates_are_a_hundred() -> None:
    assert len(parse("candidates", candidates=[{"candidate": "x"}] * 10_000).candidates) == 100


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
FIELDS = ["call_id", "version", "party_id", "lifetime", "invitee", "offer", "answer", "candidates", "reason"]
FIELDS += ["selected_party_id", "description", "sdp", "type", "conf_id"]
FIELDS += ["replacement_id", "target_user", "create_call", "await_call"]
CONTENTS = st.dictionaries(
    st.sampled_from(FIELDS), ANYTHING | st.fixed_dictionaries({"sdp": ANYTHING, "type": ANYTHING})
)


@given(kind=st.sampled_from(TYPES), content=CONTENTS | ANYTHING, state_key=st.none() | st.text(max_size=3))
def test_whatever_comes_nothing_but_invalid_call_event_is_raised(
    kind: str, content: Any, state_key: str | None
) -> None:
    with contextlib.suppress(InvalidCallEvent):
        parsed = parse_call_content(event(f"m.call.{kind}", content, state_key))
        if parsed is not None:
            parsed.call_id.encode()
            assert 0 < len(parsed.call_id) <= 255
