"""What an INVITE from a trunk leads to."""

import asyncio
from typing import Any

import pytest

from bridge.app import sip_intake
from bridge.app.directory import MAX_UNANSWERED_OF_A_USER
from bridge.core.ids import DialogKey
from bridge.core.presence import PresenceState, RingWhen
from bridge.ops.records import VERIFICATIONS
from bridge.sip.events import Attestation, CallCancelled, CallEnded, Verification
from tests.app.outsides import ALICE, PBX
from tests.app.stage import Stage
from tests.patience import PATIENCE_S


async def test_a_call_for_a_user_rings_there_and_then_at_the_phone(stage: Stage) -> None:
    await stage.incoming()
    assert stage.matrix.types() == ["m.call.invite", "m.call.candidates"]
    assert stage.matrix.content("m.call.invite")["invitee"] == ALICE
    assert stage.sip.commands == [("ring", "in-1")]


async def test_a_number_that_nobody_has_is_a_404_with_a_record(stage: Stage) -> None:
    await stage.incoming(called="+15550111")
    assert stage.sip.commands == [("reject", "in-1", 404)]
    assert stage.reasons() == ["unassigned_number"]


async def test_callers_who_withhold_their_number_can_call_at_the_same_time(stage: Stage) -> None:
    await stage.incoming("in-1", caller="")
    await stage.incoming("in-2", caller="")
    assert stage.sip.names() == ["ring", "ring"]


async def test_a_cancel_does_not_wait_behind_a_slow_homeserver(stage: Stage) -> None:
    stage.matrix.portal_delay = asyncio.Event()
    task = asyncio.create_task(stage.incoming("in-1"))
    await asyncio.sleep(0)
    stage.sip_intake.handle(CallCancelled(dialog=DialogKey("in-1")))
    assert len(stage.switchboard.directory) == 0
    stage.matrix.portal_delay.set()
    await task
    assert stage.matrix.sent == []
    assert stage.reasons() == ["cancelled"]


@pytest.mark.parametrize(("elsewhere", "reason"), [(False, "user_hangup"), (True, "answered_elsewhere")])
async def test_devices_are_told_whether_another_phone_took_the_call(stage: Stage, elsewhere: bool, reason: str) -> None:
    """MSC4006: then Element shows no missed call."""
    await stage.incoming("in-1")
    stage.sip_intake.handle(CallCancelled(dialog=DialogKey("in-1"), answered_elsewhere=elsewhere))
    await stage.settle()
    assert stage.matrix.content("m.call.hangup")["reason"] == reason


async def test_the_user_calling_the_phone_that_rings_is_connected_to_it(stage: Stage) -> None:
    await stage.incoming()
    await stage.invite("1-mine")
    assert stage.matrix.types() == [
        "m.call.invite",
        "m.call.candidates",
        "m.call.hangup",
        "m.call.answer",
        "m.call.candidates",
    ]
    assert stage.matrix.content("m.call.answer")["call_id"] == "1-mine"
    assert stage.matrix.content("m.call.hangup")["reason"] == "replaced"
    assert stage.sip.names() == ["ring", "accept"]
    assert stage.engine.sessions[0].asked == ["set_sip_offer", "reset_matrix_leg", "set_matrix_offer"]


async def test_a_number_that_could_be_forged_does_not_take_over_a_call(stage: Stage) -> None:
    await stage.invite("1-mine")
    await stage.incoming("in-1")
    await stage.incoming("in-2", trunk=PBX)
    assert stage.sip.names() == ["invite", "reject", "reject"]
    assert stage.reasons() == ["busy", "busy"]
    assert stage.matrix.sent == []


async def crossed(stage: Stage) -> DialogKey:
    """Alice dials an extension of the PBX, which calls her at the same moment; gives the dialog that was given up."""
    stage.trunk = PBX
    stage.__post_init__()
    await stage.invite("1-mine")
    given_up = next(iter(stage.switchboard.lives())).call.dialog
    assert given_up is not None
    await stage.incoming("in-1", trunk=PBX)
    return given_up


async def test_the_phone_of_a_trusted_pbx_is_connected_to_the_user_who_dials_it(stage: Stage) -> None:
    await crossed(stage)
    assert stage.sip.names() == ["invite", "cancel", "accept"]
    assert stage.matrix.content("m.call.answer")["call_id"] == "1-mine"
    assert [session.closed for session in stage.engine.sessions] == [True, False]
    stage.sip_intake.handle(CallEnded(dialog=DialogKey("in-1")))
    await stage.settle()
    assert stage.reasons() == ["no_media"]


async def test_events_of_the_dialog_that_was_given_up_do_not_end_the_call(stage: Stage) -> None:
    stage.sip_intake.handle(CallEnded(dialog=await crossed(stage)))
    assert len(stage.switchboard.directory) == 1


async def test_an_answer_does_not_wait_behind_a_room_that_is_slow_to_make(stage: Stage) -> None:
    stage.matrix.portal_delay = asyncio.Event()
    waiting = asyncio.create_task(stage.incoming("in-1"))
    await asyncio.sleep(0)
    inviting = asyncio.create_task(stage.invite("1-mine"))
    await asyncio.wait_for(stage.matrix.answered.wait(), PATIENCE_S)
    stage.matrix.portal_delay.set()
    await asyncio.gather(waiting, inviting)
    assert stage.sip.names() == ["accept"]


async def test_while_shutting_down_new_calls_are_turned_away(stage: Stage) -> None:
    await stage.switchboard.shut_down(1.0)
    await stage.incoming()
    assert stage.sip.commands == [("reject", "in-1", 503)]
    assert stage.reasons() == ["shutting_down"]


async def test_a_user_whose_devices_ring_for_several_callers_is_busy_for_the_next(stage: Stage) -> None:
    for number in range(MAX_UNANSWERED_OF_A_USER):
        await stage.incoming(f"in-{number}", caller=f"+1555020{number}")
    await stage.incoming("one-too-many", caller="+15550300")
    assert ("reject", "one-too-many", 486) in stage.sip.commands
    stage.sip_intake.handle(CallCancelled(dialog=DialogKey("in-0")))
    await stage.incoming("after-all", caller="+15550300")
    assert ("ring", "after-all") in stage.sip.commands


async def test_a_flood_from_a_trunk_is_turned_away_before_rooms_are_made_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_intake, "MAX_UNANSWERED_OF_A_TRUNK", 2)
    for number in range(4):
        await stage.incoming(f"in-{number}", caller=f"+1555020{number}")
    assert [command for command in stage.sip.commands if command[0] == "reject"] == [
        ("reject", "in-2", 503),
        ("reject", "in-3", 503),
    ]
    assert stage.reasons() == ["too_many_calls", "too_many_calls"]
    await stage.incoming("other-trunk", caller="+15550300", trunk=PBX)
    assert ("ring", "other-trunk") in stage.sip.commands


@pytest.mark.parametrize("attestation", [None, *Attestation])
@pytest.mark.parametrize("passed", [None, True, False])
async def test_what_networks_say_of_a_number_is_kept_for_the_record(
    stage: Stage, attestation: Attestation | None, passed: bool | None
) -> None:
    await stage.incoming(verification=Verification(attestation=attestation, passed=passed))
    live = stage.switchboard.directory.by_dialog(DialogKey("in-1"))
    assert live is not None
    assert live.verification in VERIFICATIONS - {""}
    assert live.verification.endswith(attestation or "")
    assert live.verification.startswith("passed") is (passed is True)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"caller_name": "Jane Doe"}, ("+15550100", "Jane Doe")),
        ({"caller_name": "  Jane\u202e\u0007\n Doe "}, ("+15550100", "Jane Doe")),
        ({"caller_name": "x" * 500}, ("+15550100", "x" * 80)),
        ({"caller_name": "Jane Doe", "caller": ""}, ("anonymous", "")),
    ],
)
async def test_the_caller_is_named_as_the_telephone_network_says(
    stage: Stage, said: dict[str, Any], shown: tuple[str, str]
) -> None:
    await stage.incoming(**said)
    assert stage.matrix.callers == [shown]


async def test_a_user_who_wants_no_ringing_while_away_is_left_to_the_voice_mail_of_the_pbx(stage: Stage) -> None:
    stage.ring_when[ALICE] = RingWhen.ONLINE
    stage.matrix.presences[ALICE] = PresenceState.UNAVAILABLE
    await stage.incoming()
    assert stage.sip.commands == [("reject", "in-1", 480)]
    assert stage.matrix.sent == []
    assert stage.reasons() == ["not_there"]


async def test_a_user_who_is_there_is_rung(stage: Stage) -> None:
    stage.ring_when[ALICE] = RingWhen.ONLINE
    stage.matrix.presences[ALICE] = PresenceState.ONLINE
    await stage.incoming()
    assert stage.matrix.types() == ["m.call.invite", "m.call.candidates"]
