"""A phone in a spoken menu: whom its keys reach by what everybody has set, and what it costs the others."""

import asyncio
from typing import Any

import pytest

from bridge.app import message_desk
from bridge.app.directory import Directory
from bridge.app.live_call import LiveCall
from bridge.app.media_facts import feed_media
from bridge.calls import events as ev
from bridge.calls import message_events as mev
from bridge.calls.menu import MenuPlan, MenuStep
from bridge.calls.message import MessageBox
from bridge.calls.state import State, Timer
from bridge.core.ids import DialogKey, GroupName, MenuName
from bridge.media.engine import Ear, SoundPlayed
from bridge.media.sounds import Sound
from bridge.numbers.groups import Group
from bridge.numbers.reach import Reach, ToGroup, ToMenu
from bridge.sip.events import CallEnded, DigitsReceived
from tests.app.outsides import ALICE, BOB, TRUNK, StageSession
from tests.app.stage import Stage

MAIN = MenuPlan(
    name="main",
    choices={"1": str(ALICE), "2": str(BOB), "3": f"voicemail:{ALICE}", "4": "group:sales", "9": "menu:night"},
    extensions="2",
)
NIGHT = MenuPlan(name="night", otherwise=str(BOB), repeats=0)
BOX = MessageBox(reasons=("no_answer", "do_not_disturb"), longest_s=60.0, limit_s=90.0)


async def in_menu(stage: Stage, **changes: Any) -> LiveCall:
    """A phone hears the choices."""
    stage.menu_plans = {MenuName("main"): MAIN, MenuName("night"): NIGHT}
    stage.groups = {GroupName("sales"): Group(members=(ALICE, BOB))}
    stage.inbound = {"+15550199": Reach(to=ToMenu(MenuName("main"))), "201": Reach.of_user(BOB)}
    stage.__post_init__()
    await stage.incoming(**changes)
    return next(iter(stage.switchboard.directory))


async def press(stage: Stage, live: LiveCall, keys: str) -> None:
    for key in keys:
        stage.switchboard.feed(live, mev.PhoneKeyPressed(digit=key))
        await stage.settle()


async def test_a_key_rings_a_person_for_a_phone_that_is_answered_already(stage: Stage) -> None:
    live = await in_menu(stage)
    assert stage.sip.names() == ["accept"]
    assert stage.matrix.sent == []
    await press(stage, live, "1")
    assert stage.matrix.content("m.call.invite")["invitee"] == ALICE
    assert live.call.state is State.HUNTING
    assert stage.engine.sessions[0].asked[-2:] == ["stop playing to phone", "play to phone"]


async def test_the_person_answers_and_the_phone_hears_them(stage: Stage) -> None:
    live = await in_menu(stage)
    await press(stage, live, "1")
    invite = stage.matrix.content("m.call.invite")
    answer = {"type": "answer", "sdp": "alice answer"}
    content = {"call_id": invite["call_id"], "version": "1", "party_id": "LAPTOP", "answer": answer}
    await stage.event("m.call.answer", content)
    assert stage.engine.sessions[0].asked[-3:] == [
        "set_matrix_answer",
        "stop playing to phone",
        "report digits False",
    ]
    assert stage.sip.names() == ["accept"]
    assert live.call.state is State.CONNECTING


async def test_an_extension_rings_whom_it_belongs_to(stage: Stage) -> None:
    live = await in_menu(stage)
    await press(stage, live, "201#")
    assert stage.matrix.content("m.call.invite")["invitee"] == BOB


@pytest.mark.parametrize("keys", ["299#", "7"])
async def test_what_nobody_has_rings_nobody(stage: Stage, keys: str) -> None:
    live = await in_menu(stage)
    await press(stage, live, keys)
    assert stage.matrix.sent == []
    assert live.call.state is State.IN_MENU


async def test_who_does_not_want_to_be_disturbed_is_not_rung(stage: Stage) -> None:
    live = await in_menu(stage)
    await stage.settings.change(BOB, do_not_disturb=True)
    await press(stage, live, "2#")
    assert stage.matrix.sent == []
    assert live.call.state is State.IN_MENU


async def test_a_person_who_takes_no_calls_now_but_messages_takes_one(stage: Stage) -> None:
    stage.boxes[ALICE] = BOX
    live = await in_menu(stage)
    await stage.settings.change(ALICE, do_not_disturb=True)
    await press(stage, live, "1")
    assert live.call.state is State.ATTENDED


async def test_a_message_box_may_be_chosen(stage: Stage) -> None:
    stage.boxes[ALICE] = BOX
    live = await in_menu(stage)
    await press(stage, live, "3")
    assert live.call.state is State.ATTENDED
    assert live.call.matrix.user == ALICE


@pytest.mark.parametrize("reason", ["attendants_busy", "messages_not_kept"])
async def test_a_message_box_that_can_take_none_says_so_and_lets_the_phone_go(
    stage: Stage, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.boxes[ALICE] = BOX
    live = await in_menu(stage)
    if reason == "attendants_busy":
        monkeypatch.setattr(message_desk, "MOST_AT_ONCE", 0)
    else:
        stage.folder.write_text("not a folder")
    played = stage.engine.sessions[0].asked.count("play to phone")
    await press(stage, live, "3")
    assert live.call.state is State.IN_MENU
    assert stage.engine.sessions[0].asked.count("play to phone") == played + 1, "no greeting, but that nobody is there"
    stage.switchboard.feed(live, mev.SoundPlayed())
    await stage.settle()
    assert stage.sip.names() == ["accept", "bye"]
    assert stage.reasons() == [reason]


async def test_keys_that_come_by_signalling_count_in_menus_too(stage: Stage) -> None:
    await in_menu(stage)
    stage.sip_intake.handle(DigitsReceived(dialog=DialogKey("in-1"), digits="1", duration_ms=160))
    await stage.settle()
    assert stage.engine.sessions[0].asked[-1] == "play 1", "the session tells of them as of all others"


async def test_a_group_rings_together(stage: Stage) -> None:
    live = await in_menu(stage)
    await press(stage, live, "4")
    assert sorted(invite["invitee"] for invite in stage.matrix.contents("m.call.invite")) == [ALICE, BOB]


async def test_a_group_that_went_with_a_new_configuration_is_nobody_for_a_phone_in_an_old_menu(stage: Stage) -> None:
    live = await in_menu(stage)
    stage.groups = {}
    await press(stage, live, "4")
    assert (live.call.state, stage.matrix.sent) == (State.IN_MENU, [])
    await press(stage, live, "1")
    assert stage.matrix.content("m.call.invite")["invitee"] == ALICE


async def test_a_group_may_be_followed_by_a_menu(stage: Stage) -> None:
    stage.menu_plans = {MenuName("main"): MAIN}
    stage.groups = {GroupName("sales"): Group(members=(BOB,), otherwise=ToMenu(MenuName("main")))}
    stage.inbound = {"+15550199": Reach(to=ToGroup(GroupName("sales")))}
    stage.__post_init__()
    await stage.settings.change(BOB, do_not_disturb=True)
    await stage.incoming()
    live = next(iter(stage.switchboard.directory))
    assert live.call.state is State.IN_MENU
    await press(stage, live, "1")
    assert stage.matrix.content("m.call.invite")["invitee"] == ALICE


async def test_silence_goes_where_the_menu_says(stage: Stage) -> None:
    live = await in_menu(stage)
    await press(stage, live, "9")
    stage.switchboard.feed(live, mev.SoundPlayed())
    stage.switchboard.feed(live, ev.TimerFired(timer=Timer.MENU))
    await stage.settle()
    assert stage.matrix.content("m.call.invite")["invitee"] == BOB
    assert live.call.walk is not None
    assert live.call.walk.path == ("main", "night", "person")


async def test_a_sentence_whose_end_is_told_before_its_beginning_keeps_nobody_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await in_menu(stage)
    play = StageSession.play

    async def over_at_once(session: StageSession, sound: Sound, ear: Ear, *, repeats: bool = False) -> int:
        number = await play(session, sound, ear, repeats=repeats)
        feed_media(stage.switchboard, stage.messages, SoundPlayed(call_id=live.call.call_id, number=number))
        return number

    monkeypatch.setattr(StageSession, "play", over_at_once)
    await press(stage, live, "#")
    assert live.call.walk is not None
    assert live.call.walk.step is MenuStep.WAITING
    assert Timer.MENU in live.call.deadlines


async def test_a_phone_in_a_menu_is_in_nobodys_way(stage: Stage) -> None:
    live = await in_menu(stage)
    directory: Directory = stage.switchboard.directory
    assert directory.unanswered_of_trunk(TRUNK) == 0
    await press(stage, live, "1")
    assert directory.unanswered_of_user(ALICE) == 1
    assert [found.call.call_id for found in directory.of_user(ALICE)] == [live.call.call_id]
    stage.sip_intake.handle(CallEnded(dialog=DialogKey("in-1")))
    await stage.settle()
    assert directory.unanswered_of_user(ALICE) == 0
    assert directory.of_user(ALICE) == []
    assert stage.matrix.content("m.call.hangup")["reason"] == "user_hangup"
    assert stage.reasons() == ["cancelled"]


async def test_a_room_that_comes_too_late_is_not_the_next_persons(stage: Stage) -> None:
    live = await in_menu(stage)
    stage.matrix.portal_delay = asyncio.Event()
    stage.switchboard.feed(live, mev.PhoneKeyPressed(digit="1"))
    await let_run()
    stage.switchboard.feed(live, ev.TimerFired(timer=Timer.EXPIRY))
    for key in "2#":
        stage.switchboard.feed(live, mev.PhoneKeyPressed(digit=key))
    await let_run()
    assert live.call.users == {BOB}
    stage.matrix.portal_delay.set()
    await stage.settle()
    assert [invite["invitee"] for invite in stage.matrix.contents("m.call.invite")] == [BOB]
    assert live.call.illegal_events == 0


async def let_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
