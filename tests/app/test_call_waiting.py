"""Several calls of one user at the same time, with several numbers or with one."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallAnswered, CallEnded
from tests.app.outsides import ALICE
from tests.app.stage import Stage

PARTY = {"version": "1", "party_id": "LAPTOP"}


@pytest.fixture
def one_line(stage: Stage) -> Stage:
    """Nobody has a second call while one is up."""
    stage.call_waiting = False
    stage.__post_init__()
    return stage


async def answer(stage: Stage, position: int) -> None:
    """A device of Alice's takes the call that was offered as the so-manieth."""
    call_id = stage.matrix.contents("m.call.invite")[position]["call_id"]
    content = {**PARTY, "call_id": call_id, "answer": {"type": "answer", "sdp": "alice answer"}}
    await stage.event("m.call.answer", content)


async def talk(stage: Stage, call_id: str) -> DialogKey:
    """Alice calls the phone, which answers."""
    await stage.invite(call_id)
    placed = f"out-{len(stage.sip.commands)}"
    stage.sip_intake.handle(CallAnswered(dialog=DialogKey(placed), sdp="phone answer"))
    await stage.settle()
    return DialogKey(placed)


async def hang_up(stage: Stage, call_id: str) -> None:
    await stage.event("m.call.hangup", {**PARTY, "call_id": call_id})


async def test_a_second_caller_rings_while_a_call_is_up(stage: Stage) -> None:
    await stage.incoming("in-1")
    await answer(stage, 0)
    await stage.incoming("in-2", caller="+15550101")
    assert stage.sip.names() == ["ring", "accept", "ring"]


async def test_two_extensions_behind_one_number_are_two_calls_and_each_event_goes_to_its_own(stage: Stage) -> None:
    await stage.incoming("in-1")
    await stage.incoming("in-2")
    first, second = (content["call_id"] for content in stage.matrix.contents("m.call.invite"))
    await answer(stage, 1)
    await stage.event("m.call.reject", {**PARTY, "call_id": first})
    assert stage.sip.commands[2:] == [("accept", "in-2", "our answer to sip"), ("reject", "in-1", 603)]
    await hang_up(stage, second)
    assert stage.sip.commands[-1] == ("bye", "in-2")
    assert stage.reasons() == ["declined", "no_media"]


async def test_the_user_calls_a_number_again_while_a_call_to_it_is_up(stage: Stage) -> None:
    first = await talk(stage, "first")
    second = await talk(stage, "second")
    assert stage.matrix.types() == ["m.call.answer", "m.call.candidates"] * 2
    stage.sip_intake.handle(CallEnded(dialog=first))
    await stage.settle()
    assert stage.matrix.content("m.call.hangup")["call_id"] == "first"
    await hang_up(stage, "second")
    assert stage.sip.commands[-1] == ("bye", second)
    assert stage.reasons() == ["no_media", "no_media"]


async def test_two_devices_that_dial_a_number_at_once_dial_it_once(stage: Stage) -> None:
    await stage.invite("first")
    await stage.invite("second")
    assert stage.sip.names() == ["invite"]
    assert stage.matrix.content("m.call.reject")["reason"] == "user_busy"
    assert stage.matrix.content("m.call.reject")["call_id"] == "second"


async def test_a_call_that_was_dialled_before_another_device_answered_the_phone_dials_nobody(stage: Stage) -> None:
    """The calls crossed, and were settled before the invite came."""
    await stage.incoming("in-1")
    await answer(stage, 0)
    await stage.invite("mine", age_ms=900)
    assert stage.sip.names() == ["ring", "accept"]
    assert stage.matrix.content("m.call.reject")["reason"] == "user_busy"


async def test_the_phone_of_a_call_that_is_up_can_ring_as_well(stage: Stage) -> None:
    await talk(stage, "first")
    await stage.incoming("in-1")
    assert stage.sip.names() == ["invite", "ring"]


async def test_only_a_call_that_is_not_answered_can_cross_another(stage: Stage) -> None:
    await stage.incoming("in-1")
    await answer(stage, 0)
    await stage.invite("1-mine")
    assert stage.sip.names() == ["ring", "accept", "invite"]
    await stage.incoming("in-2", caller="+15550101")
    await stage.incoming("in-3", caller="+15550101")
    assert stage.sip.names()[3:] == ["ring", "ring"]


async def test_a_users_call_takes_up_the_ringing_one_of_two_from_that_number(stage: Stage) -> None:
    await stage.incoming("in-1")
    await answer(stage, 0)
    await stage.incoming("in-2")
    await stage.invite("1-mine")
    assert stage.sip.commands[-1] == ("accept", "in-2", "our answer to sip")
    assert stage.matrix.content("m.call.answer")["call_id"] == "1-mine"


async def test_the_call_that_a_client_gave_up_for_its_own_is_the_one_that_its_invite_takes_up(stage: Stage) -> None:
    await stage.incoming("in-1")
    await stage.incoming("in-2")
    given_up = stage.matrix.contents("m.call.invite")[1]["call_id"]
    await stage.event("m.call.hangup", {**PARTY, "call_id": given_up, "reason": "replaced"})
    await stage.invite("1-mine")
    assert stage.sip.commands[-1] == ("accept", "in-2", "our answer to sip")


@pytest.mark.parametrize("caller", ["+15550100", "+15550101"])
async def test_without_call_waiting_who_calls_a_user_with_a_call_hears_busy(one_line: Stage, caller: str) -> None:
    await one_line.incoming("in-1")
    await answer(one_line, 0)
    await one_line.incoming("in-2", caller=caller)
    assert one_line.sip.commands[-1] == ("reject", "in-2", 486)
    assert one_line.reasons() == ["busy"]
    assert len(one_line.matrix.contents("m.call.invite")) == 1


async def test_without_call_waiting_a_users_second_call_to_a_number_is_busy(one_line: Stage) -> None:
    await talk(one_line, "first")
    await one_line.invite("second")
    assert one_line.sip.names() == ["invite"]
    assert one_line.matrix.content("m.call.reject")["reason"] == "user_busy"


async def test_without_call_waiting_a_user_whose_call_is_over_can_be_called_again(one_line: Stage) -> None:
    dialog = await talk(one_line, "first")
    one_line.sip_intake.handle(CallEnded(dialog=dialog))
    await one_line.settle()
    await one_line.incoming("in-1")
    assert one_line.sip.names()[-1] == "ring"
    assert one_line.switchboard.directory.of_user(ALICE)
