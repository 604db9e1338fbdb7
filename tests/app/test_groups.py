"""A phone calls a group: what each member's room sees, and what is left of the call."""

import asyncio
from typing import Any

import pytest

from bridge.app.history import History
from bridge.app.live_call import LiveCall
from bridge.app.recovery import end_left_over_calls, withdraw_invites
from bridge.calls import events as ev
from bridge.calls.call import Call
from bridge.calls.message import MessageBox
from bridge.calls.state import Timer
from bridge.core.ids import CallId, DialogKey, GroupName, RoomId, UserId
from bridge.core.presence import PresenceState, RingWhen
from bridge.core.verdict import Verdict
from bridge.numbers.groups import Group, RingOrder
from bridge.numbers.reach import Reach, Target, ToGroup, ToMessageBox, ToUser
from bridge.sip.events import CallCancelled
from bridge.store.calls import ActiveCalls
from tests.app.outsides import ALICE, BOB, GHOST, PHONE, TRUNK, StageMatrix, StagePortal
from tests.app.stage import Stage
from tests.patience import PATIENCE_S

CAROL = UserId("@carol:example.org")
SALES = GroupName("sales")
ROOMS = {user: RoomId(f"!{user[1:].partition(':')[0]}:example.org") for user in (ALICE, BOB, CAROL)}
OF_ALICE, OF_BOB, OF_CAROL = ROOMS.values()
_SLOW_DISK_S = 0.05
BOX = MessageBox(reasons=("no_answer",), longest_s=60.0, limit_s=90.0)


def set_up(
    stage: Stage, *members: UserId, ring: RingOrder = RingOrder.TOGETHER, otherwise: Target | None = None
) -> Stage:
    """The number reaches a group of Alice and Bob, each with a room of their own."""
    stage.inbound = {"+15550199": Reach(to=ToGroup(SALES))}
    stage.groups = {SALES: Group(members=members or (ALICE, BOB), ring=ring, otherwise=otherwise)}
    stage.matrix.portals = {user: StagePortal(room_id=room) for user, room in ROOMS.items()}
    stage.matrix.members = {room: frozenset({user, GHOST}) for user, room in ROOMS.items()}
    stage.__post_init__()
    return stage


def told(stage: Stage, room: RoomId) -> list[str]:
    """The types of what a room was told, without candidates."""
    return [kind for kind, _ in stage.matrix.told[room] if kind != "m.call.candidates"]


def reason(stage: Stage, room: RoomId) -> str:
    """Why the invite in a room was given up."""
    return next(str(content["reason"]) for kind, content in stage.matrix.told[room] if kind == "m.call.hangup")


def invite(stage: Stage, room: RoomId) -> str:
    """The id of the Matrix call in a room."""
    return next(str(content["call_id"]) for kind, content in stage.matrix.told[room] if kind == "m.call.invite")


async def answer(stage: Stage, user: UserId) -> None:
    content = {
        "call_id": invite(stage, ROOMS[user]),
        "version": "1",
        "party_id": "DEVICE",
        "answer": {"type": "answer", "sdp": "their answer"},
    }
    await stage.event("m.call.answer", content, sender=user, room_id=ROOMS[user])


async def decline(stage: Stage, user: UserId) -> None:
    content = {"call_id": invite(stage, ROOMS[user]), "version": "1", "party_id": "DEVICE"}
    await stage.event("m.call.reject", content, sender=user, room_id=ROOMS[user])


async def time_passes(stage: Stage) -> None:
    """Whoever rings has rung for long enough."""
    for live in stage.switchboard.directory:
        stage.switchboard.feed(live, ev.TimerFired(timer=Timer.EXPIRY))
    await stage.settle()


async def test_the_second_member_answers_and_the_first_falls_silent(stage: Stage) -> None:
    await set_up(stage).incoming()
    assert stage.sip.names() == ["ring"]
    await answer(stage, BOB)
    assert told(stage, OF_ALICE) == ["m.call.invite", "m.call.hangup"]
    assert reason(stage, OF_ALICE) == "answered_elsewhere"
    assert told(stage, OF_BOB) == ["m.call.invite", "m.call.select_answer"]
    assert stage.sip.names() == ["ring", "accept"]
    assert stage.engine.sessions[0].asked == ["set_sip_offer", "set_matrix_answer"]
    assert invite(stage, OF_ALICE) != invite(stage, OF_BOB)


async def test_the_call_is_the_winner_s_alone_from_then_on(stage: Stage) -> None:
    await set_up(stage).incoming()
    await answer(stage, BOB)
    directory = stage.switchboard.directory
    assert (len(directory.of_user(BOB)), directory.of_user(ALICE), directory.in_room(OF_ALICE)) == (1, [], [])
    await answer(stage, ALICE)
    await decline(stage, ALICE)
    member = {"membership": "leave"}
    await stage.event("m.room.member", member, sender=ALICE, state_key=ALICE, room_id=OF_ALICE)
    assert len(directory) == 1
    hangup = {"call_id": invite(stage, OF_BOB), "version": "1", "party_id": "DEVICE"}
    await stage.event("m.call.hangup", hangup, sender=BOB, room_id=OF_BOB)
    assert stage.sip.names() == ["ring", "accept", "bye"]
    assert stage.reasons() == ["no_media"]
    assert len(directory) == 0


async def test_in_turn_the_second_member_rings_when_the_first_has_declined(stage: Stage) -> None:
    await set_up(stage, ring=RingOrder.IN_TURN).incoming()
    assert told(stage, OF_BOB) == []
    await decline(stage, ALICE)
    assert told(stage, OF_ALICE) == ["m.call.invite", "m.call.select_answer"]
    await answer(stage, BOB)
    assert stage.sip.names() == ["ring", "accept"]


async def test_in_turn_the_second_member_rings_when_the_first_has_not_answered(stage: Stage) -> None:
    await set_up(stage, ring=RingOrder.IN_TURN).incoming()
    await time_passes(stage)
    assert reason(stage, OF_ALICE) == "invite_timeout"
    assert told(stage, OF_BOB) == ["m.call.invite"]


async def test_when_all_have_declined_the_phone_is_told_so(stage: Stage) -> None:
    await set_up(stage).incoming()
    await decline(stage, ALICE)
    assert stage.sip.names() == ["ring"]
    await decline(stage, BOB)
    assert stage.sip.commands[-1] == ("reject", "in-1", 603)
    assert stage.reasons() == ["declined"]


async def test_when_nobody_answers_all_see_a_missed_call(stage: Stage) -> None:
    await set_up(stage).incoming()
    await time_passes(stage)
    assert {reason(stage, room) for room in (OF_ALICE, OF_BOB)} == {"invite_timeout"}
    assert stage.sip.commands[-1] == ("reject", "in-1", 480)


async def test_when_nobody_answers_somebody_else_rings(stage: Stage) -> None:
    await set_up(stage, otherwise=ToUser(CAROL)).incoming()
    await time_passes(stage)
    await answer(stage, CAROL)
    assert stage.sip.names() == ["ring", "accept"]


async def test_when_nobody_answers_a_message_can_be_left(stage: Stage) -> None:
    stage.boxes[CAROL] = BOX
    await set_up(stage, otherwise=ToMessageBox(CAROL)).incoming()
    await time_passes(stage)
    assert stage.sip.names() == ["ring", "accept"]
    assert stage.engine.sessions[0].asked[-1] == "play to phone"


@pytest.mark.parametrize("target", [ToUser(CAROL), ToMessageBox(CAROL)])
async def test_whom_its_user_has_blocked_leaves_no_message_for_a_group_s_stead(stage: Stage, target: Target) -> None:
    stage.boxes[CAROL] = BOX
    set_up(stage, otherwise=target)
    await stage.settings.block(CAROL, PHONE)
    await stage.incoming()
    await time_passes(stage)
    assert stage.sip.commands[-1] == ("reject", "in-1", 480)


async def test_whom_the_configuration_blocks_rings_no_member(stage: Stage) -> None:
    stage.blocked = ("+1555",)
    await set_up(stage).incoming()
    assert stage.reasons() == ["blocked"]
    assert stage.matrix.sent == []


async def test_a_room_in_trouble_does_not_keep_the_others_from_ringing(stage: Stage) -> None:
    set_up(stage, ALICE, BOB, CAROL)
    stage.matrix.refusing.add(ALICE)
    stuck = stage.matrix.stuck[OF_BOB] = asyncio.Event()
    ringing = asyncio.create_task(stage.incoming())
    async with asyncio.timeout(PATIENCE_S):
        while not stage.matrix.told[OF_CAROL]:  # noqa: ASYNC110 - a stage tells nobody
            await asyncio.sleep(0)
    assert told(stage, OF_BOB) == []
    await_answer = asyncio.create_task(answer(stage, CAROL))
    async with asyncio.timeout(PATIENCE_S):
        while not stage.matrix.withdrawn:  # noqa: ASYNC110 - a stage tells nobody
            await asyncio.sleep(0)
    stuck.set()
    await asyncio.gather(ringing, await_answer)
    assert stage.sip.names() == ["ring", "accept"]
    assert told(stage, OF_BOB)[-1] == "m.call.hangup"


@pytest.mark.parametrize("ring", RingOrder)
async def test_who_wants_no_calls_is_not_rung(stage: Stage, ring: RingOrder) -> None:
    set_up(stage, ring=ring)
    await stage.settings.change(ALICE, do_not_disturb=True)
    await stage.incoming()
    assert (told(stage, OF_ALICE), told(stage, OF_BOB)) == ([], ["m.call.invite"])


async def test_settings_of_a_member_hold_but_not_forwarding(stage: Stage) -> None:
    set_up(stage, ALICE, BOB, CAROL)
    await stage.settings.block(ALICE, PHONE)
    await stage.settings.change(BOB, forward="+15550100")
    stage.ring_when[CAROL] = RingWhen.ONLINE
    stage.matrix.presences[CAROL] = PresenceState.OFFLINE
    await stage.incoming()
    assert [bool(told(stage, room)) for room in (OF_ALICE, OF_BOB, OF_CAROL)] == [False, True, False]


async def test_a_member_with_a_call_is_passed_over_where_calls_do_not_wait(stage: Stage) -> None:
    stage.call_waiting = False
    set_up(stage)
    await stage.incoming("in-1")
    await answer(stage, ALICE)
    stage.matrix.told.clear()
    await stage.incoming("in-2", caller="+15550222")
    assert (told(stage, OF_ALICE), told(stage, OF_BOB)) == ([], ["m.call.invite"])


async def test_a_member_who_calls_the_phone_that_rings_them_is_connected_to_it(stage: Stage) -> None:
    await set_up(stage).incoming()
    await stage.invite("1-mine", sender=BOB, room_id=OF_BOB)
    assert reason(stage, OF_BOB) == "replaced"
    assert reason(stage, OF_ALICE) == "answered_elsewhere"
    assert stage.matrix.content("m.call.answer")["call_id"] == "1-mine"
    assert stage.sip.names() == ["ring", "accept"]


async def test_when_the_phone_hangs_up_first_no_device_rings_on(stage: Stage) -> None:
    await set_up(stage).incoming()
    stage.sip_intake.handle(CallCancelled(dialog=DialogKey("in-1")))
    await stage.settle()
    assert {reason(stage, room) for room in (OF_ALICE, OF_BOB)} == {"user_hangup"}
    assert stage.reasons() == ["cancelled"]


async def test_after_a_crash_nobody_rings_on(stage: Stage) -> None:
    await set_up(stage).incoming()
    calls = await stage.memory.left_over()
    stage.matrix.told.clear()
    stage.__post_init__()
    await withdraw_invites(calls, stage.matrix)
    end_left_over_calls(calls, stage.switchboard, stage.sip, stage.clock, (TRUNK,))
    await stage.settle()
    assert told(stage, OF_ALICE) == told(stage, OF_BOB) == ["m.call.hangup", "m.room.message"]
    assert len(stage.matrix.withdrawn) == 2
    assert ("reject", "in-1", 500) in stage.sip.commands


@pytest.mark.parametrize("crosses", [False, True])
async def test_after_a_crash_nobody_rings_on_for_a_call_that_another_member_had_just_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, crosses: bool
) -> None:
    await set_up(stage).incoming()

    calls: list[Call] = []
    send, put = StageMatrix.send, ActiveCalls.put

    async def slowly(stored: ActiveCalls, call_id: CallId, text: str) -> None:
        """What is not written down before it is told is not there when this process dies."""
        await asyncio.sleep(_SLOW_DISK_S)
        await put(stored, call_id, text)

    async def dies(matrix: StageMatrix, *, event_type: str, **event: Any) -> None:
        """Before the first hangup is stored."""
        if event_type == "m.call.hangup":
            calls[:] = calls or await stage.memory.left_over()
        await send(matrix, event_type=event_type, **event)

    with monkeypatch.context() as dying:
        dying.setattr(ActiveCalls, "put", slowly)
        dying.setattr(StageMatrix, "send", dies)
        await (stage.invite("1-mine", sender=BOB, room_id=OF_BOB) if crosses else answer(stage, BOB))
    stage.matrix.told.clear()
    stage.__post_init__()
    await withdraw_invites(calls, stage.matrix)
    end_left_over_calls(calls, stage.switchboard, stage.sip, stage.clock, (TRUNK,))
    await stage.settle()
    assert told(stage, OF_ALICE) == ["m.call.hangup"]
    assert reason(stage, OF_ALICE) == "answered_elsewhere"
    assert "m.call.hangup" in told(stage, OF_BOB)


async def test_every_member_s_own_past_calls_say_what_became_of_it(stage: Stage) -> None:
    history = History(stage.store, days=7, clock=stage.clock)

    async def note(live: LiveCall, verdict: Verdict) -> None:
        await history.add(live.call, verdict)

    set_up(stage, ALICE, BOB, CAROL)
    await stage.settings.change(CAROL, do_not_disturb=True)
    stage.switchboard._on_finished = note
    await stage.incoming()
    await answer(stage, BOB)
    await stage.switchboard.shut_down(1.0)
    await stage.settle()
    ends = {user: [past.reason for past in await history.last(user, limit=5)] for user in (ALICE, BOB, CAROL)}
    assert ends == {ALICE: ["answered_elsewhere"], BOB: ["shutting_down"], CAROL: []}
