"""What an `m.call.*` event leads to."""

from collections.abc import Mapping
from typing import Any

import pytest

from bridge.core.ids import DialogKey, RoomId, UserId
from bridge.sip.events import CallAnswered, CallProgress, OutgoingCall
from tests.app.outsides import ALICE, BOB, GHOST, PHONE, ROOM, TRUNK
from tests.app.stage import Stage


async def test_an_invite_is_dialled_with_the_callers_own_number(stage: Stage) -> None:
    await stage.invite()
    expected = OutgoingCall(trunk=TRUNK, called=PHONE, caller="+15550199", sdp="our offer to sip")
    assert stage.sip.commands == [("invite", expected)]
    assert stage.matrix.sent == []


async def test_an_answer_of_the_phone_reaches_the_caller_with_all_candidates_announced(stage: Stage) -> None:
    await stage.invite()
    dialog = next(iter(stage.switchboard.lives())).call.dialog
    assert dialog is not None
    stage.sip_intake.handle(CallProgress(dialog=dialog, status=180))
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
    await stage.settle()
    assert stage.matrix.types() == ["m.call.answer", "m.call.candidates"]
    assert stage.matrix.content("m.call.answer")["answer"]["sdp"] == "our answer to matrix"


async def test_the_description_of_a_phone_that_only_rang_is_not_that_of_the_one_that_answered(stage: Stage) -> None:
    """Which of several phones it is, and what that one said in a 183, the user agent knows."""
    await stage.invite()
    dialog = DialogKey("out-1")
    stage.sip_intake.handle(CallProgress(dialog=dialog, status=183, sdp="of a phone that only rings"))
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp=None))
    await stage.settle()
    assert "set_sip_answer" not in stage.engine.sessions[0].asked
    assert stage.reasons() == ["no_session_description"]


async def test_transaction_ids_are_never_used_twice(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({BOB, GHOST})
    await stage.invite(sender=BOB)
    await stage.invite("second", sender=BOB)
    ids = [txn_id for _, _, txn_id in stage.matrix.sent]
    assert len(ids) == 3
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("content", "envelope", "why"),
    [
        ({}, {"age_ms": 58_000}, "expired"),
        ({"lifetime": 5_000}, {"age_ms": 3_000}, "expired"),
        ({"invitee": "@somebody:example.org"}, {}, "for somebody else"),
        ({"conf_id": "x"}, {}, "a group call"),
        ({"offer": {"type": "answer", "sdp": "x"}}, {}, "no offer"),
        ({"offer": None}, {}, "no offer"),
        ({"call_id": 7}, {}, "no call id"),
        ({}, {"sender": GHOST}, "our own"),
        ({}, {"sender": UserId("@_sip_bot:example.org")}, "our own"),
        ({}, {"state_key": ""}, "a state event"),
        ({}, {"room_id": "!elsewhere:example.org"}, "no ghost in that room"),
        ({}, {"sender": BOB}, "somebody who has left already"),
    ],
)
async def test_an_invite_that_is_not_for_us_or_too_late_rings_nobody_and_leaves_nothing(
    stage: Stage, content: Mapping[str, object], envelope: dict[str, Any], why: str
) -> None:
    await stage.invite(content=content, **envelope)
    assert stage.sip.commands == [], why
    assert stage.matrix.sent == []
    assert len(stage.switchboard.directory) == 0


async def test_a_public_room_is_not_served(stage: Stage) -> None:
    stage.matrix.public.add(ROOM)
    await stage.invite()
    assert stage.sip.commands == []


async def test_a_user_without_permission_is_told_so_and_the_attempt_is_on_record(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({BOB, GHOST})
    await stage.invite(sender=BOB)
    assert stage.matrix.types() == ["m.call.reject", "m.room.message"]
    assert "reason" not in stage.matrix.content("m.call.reject")
    assert stage.reasons() == ["outbound_is_off"]
    assert stage.sip.commands == []


async def test_a_stranger_of_another_homeserver_in_the_room_cannot_make_a_phone_ring(stage: Stage) -> None:
    """Whoever can invite a ghost could run up a bill."""
    mallory = UserId("@mallory:elsewhere.org")
    stage.matrix.members[ROOM] = frozenset({mallory, GHOST})
    await stage.invite(sender=mallory)
    assert stage.sip.commands == []
    assert stage.matrix.types()[0] == "m.call.reject"


async def test_an_answer_to_an_offer_that_we_never_made_is_passed_over(stage: Stage) -> None:
    """We make no offers in a call, so that descriptions never cross (specification, VoIP, `m.call.negotiate`)."""
    await stage.invite()
    asked = list(stage.engine.sessions[0].asked)
    content = {"call_id": "call", "version": "1", "party_id": "LAPTOP", "description": {"type": "answer", "sdp": "x"}}
    await stage.event("m.call.negotiate", content)
    assert stage.engine.sessions[0].asked == asked
    assert stage.sip.names() == ["invite"]


async def test_an_emergency_number_is_refused_in_clear_words(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_112:example.org")})
    await stage.invite()
    assert stage.reasons() == ["emergency_refused"]
    assert "EMERGENCY" in stage.matrix.content("m.room.message")["body"]


async def test_a_room_with_a_third_person_rings_nobody_and_says_why_once(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({ALICE, BOB, GHOST})
    await stage.invite("first")
    await stage.invite("second")
    assert stage.matrix.types() == ["m.room.message"]
    assert stage.reasons() == ["not_one_to_one", "not_one_to_one"]
    assert stage.sip.commands == []


async def test_with_an_invitee_the_room_may_have_more_people(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({ALICE, BOB, GHOST})
    await stage.invite(content={"invitee": GHOST})
    assert stage.sip.names() == ["invite"]


@pytest.mark.parametrize(("others", "rung"), [((), True), ((ALICE,), False)])
async def test_a_call_to_the_ghost_of_an_extension_may_name_the_person_who_has_it(
    stage: Stage, others: tuple[UserId, ...], rung: bool
) -> None:
    """As Element for iOS does in the room beside the one that it has with that person; who is there is called there."""
    stage.matrix.members[ROOM] = frozenset({BOB, UserId("@_sip_+15550199:example.org"), *others})
    await stage.invite(sender=BOB, content={"invitee": ALICE})
    assert stage.reasons() == (["outbound_is_off"] if rung else [])


async def test_a_repeated_invite_dials_once_while_the_call_lives_and_after_it(stage: Stage) -> None:
    await stage.invite()
    await stage.invite()
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    await stage.invite()
    assert stage.sip.names() == ["invite", "cancel"]


async def test_a_hangup_that_overtakes_its_invite_stops_it(stage: Stage) -> None:
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    await stage.invite()
    assert stage.sip.commands == []


async def test_an_old_invite_waits_for_the_hangup_in_its_backlog(stage: Stage) -> None:
    await stage.invite(age_ms=20_000)
    assert stage.sip.commands == []
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"}, age_ms=15_000)
    assert stage.sip.commands == []
    assert stage.reasons() == ["cancelled"]


@pytest.mark.parametrize("kind", ["answer", "candidates", "select_answer", "reject", "hangup", "negotiate"])
async def test_events_of_calls_that_nobody_knows_are_dropped(stage: Stage, kind: str) -> None:
    content = {
        "call_id": "unknown",
        "version": "1",
        "party_id": "X",
        "answer": {"type": "answer", "sdp": "x"},
        "description": {"type": "offer", "sdp": "x"},
        "candidates": [],
        "selected_party_id": "X",
    }
    await stage.event(f"m.call.{kind}", content)
    assert len(stage.switchboard.directory) == 0
    assert stage.matrix.sent == []


async def test_the_same_call_id_in_another_room_is_another_call(stage: Stage) -> None:
    await stage.invite()
    await stage.event(
        "m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"}, room_id="!other:example.org"
    )
    assert stage.sip.names() == ["invite"]


async def test_leaving_the_room_hangs_up(stage: Stage) -> None:
    await stage.invite()
    await stage.event("m.room.member", {"membership": "leave"}, state_key=ALICE)
    assert stage.sip.names() == ["invite", "cancel"]


async def test_a_version_0_caller_is_refused_with_a_hangup_of_version_0(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({BOB, GHOST})
    await stage.invite(sender=BOB, content={"version": 0})
    assert stage.matrix.types()[0] == "m.call.hangup"
    assert stage.matrix.content("m.call.hangup")["version"] == 0


async def test_an_invite_that_grew_old_while_the_homeserver_was_slow_rings_nobody(stage: Stage) -> None:
    await stage.invite(waited_s=58)
    assert stage.sip.commands == []


async def test_an_invite_that_the_homeserver_does_not_let_us_judge_rings_nobody(stage: Stage) -> None:
    stage.matrix.down = True
    await stage.invite()
    assert stage.sip.commands == []
    assert len(stage.switchboard.directory) == 0


async def test_candidates_that_overtake_their_invite_are_used(stage: Stage) -> None:
    early = {"call_id": "call", "version": "1", "party_id": "LAPTOP", "candidates": [{"candidate": "candidate:1"}]}
    await stage.event("m.call.candidates", early)
    await stage.invite()
    assert stage.engine.sessions[0].asked == ["set_matrix_offer", "add_matrix_candidates"]


async def test_a_ghost_of_another_spelling_is_the_same_phone(stage: Stage) -> None:
    other = UserId("@_sip_+1-555-0100:example.org")
    await stage.invite("first")
    stage.matrix.members[RoomId("!second:example.org")] = frozenset({ALICE, other})
    await stage.invite("second", room_id="!second:example.org")
    assert stage.sip.names() == ["invite"]
    assert stage.matrix.content("m.call.reject")["reason"] == "user_busy"


async def test_a_phone_is_told_what_the_user_is_called(stage: Stage) -> None:
    stage.matrix.names[ALICE] = "Alice Liddell"
    await stage.invite()
    placed = next(command[1] for command in stage.sip.commands if command[0] == "invite")
    assert placed.caller_name == "Alice Liddell"
