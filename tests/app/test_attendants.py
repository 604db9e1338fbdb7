"""Menus and message boxes hold a share of a trunk's calls: who floods them keeps nobody from being called."""

from typing import Any

import pytest

from bridge.app.directory import MAX_ATTENDED_OF_A_TRUNK
from bridge.app.plan import max_attended
from bridge.calls import events as ev
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.calls.state import State, Timer
from bridge.config.model import TrunkConfig
from bridge.core.ids import DialogKey, MenuName
from bridge.numbers.reach import Reach, ToMenu, ToMessageBox
from bridge.sip.events import CallEnded
from tests.app.outsides import ALICE, BOB, PBX, TRUNK
from tests.app.stage import Stage

BOX = MessageBox(reasons=("no_answer", "do_not_disturb"), longest_s=60.0, limit_s=90.0)
MENU, VOICEMAIL, PERSON = "+15550199", "+15550197", "+15550188"
SHARE = 3


def filling(stage: Stage) -> None:
    stage.max_attended = SHARE
    stage.menu_plans = {MenuName("main"): MenuPlan(name="main", choices={"1": str(BOB)})}
    stage.boxes[ALICE] = BOX
    stage.inbound = {
        MENU: Reach(to=ToMenu(MenuName("main"))),
        VOICEMAIL: Reach(to=ToMessageBox(ALICE)),
        PERSON: Reach.of_user(BOB),
        "+15550196": Reach.of_user(ALICE),
    }
    stage.__post_init__()


async def flood(stage: Stage, called: str, calls: int = SHARE, **changes: Any) -> None:
    filling(stage)
    for number in range(calls):
        await stage.incoming(f"in-{number}", called=called, caller=f"+1555020{number}", **changes)


@pytest.mark.parametrize("flooded", [MENU, VOICEMAIL])
@pytest.mark.parametrize(("called", "status"), [(MENU, 486), (VOICEMAIL, 480)])
async def test_beyond_the_share_the_bridge_answers_nobody(stage: Stage, flooded: str, called: str, status: int) -> None:
    await flood(stage, flooded)
    assert stage.sip.names() == ["accept"] * SHARE
    await stage.incoming("one-too-many", called=called)
    assert stage.sip.commands[-1] == ("reject", "one-too-many", status)
    assert stage.reasons() == ["attendants_busy"]
    assert len(stage.engine.sessions) == SHARE, "which costs no ports"


@pytest.mark.parametrize("flooded", [MENU, VOICEMAIL])
async def test_people_are_reached_while_menus_and_boxes_are_full(stage: Stage, flooded: str) -> None:
    await flood(stage, flooded, SHARE + 5)
    await stage.incoming("for-a-person", called=PERSON)
    assert stage.sip.commands[-1] == ("ring", "for-a-person")
    assert stage.matrix.content("m.call.invite")["invitee"] == BOB


async def test_a_flood_over_one_trunk_takes_nothing_from_another(stage: Stage) -> None:
    await flood(stage, MENU)
    await stage.incoming("elsewhere", called=MENU, trunk=PBX)
    assert stage.sip.names()[-1] == "accept"


async def test_a_phone_that_leaves_makes_room(stage: Stage) -> None:
    await flood(stage, MENU)
    stage.sip_intake.handle(CallEnded(dialog=DialogKey("in-0")))
    await stage.settle()
    await stage.incoming("next", called=MENU)
    assert stage.sip.names()[-1] == "accept"


async def test_who_talks_to_a_person_is_in_no_menu_any_more(stage: Stage) -> None:
    await flood(stage, MENU)
    live = stage.switchboard.directory.by_dialog(DialogKey("in-0"))
    assert live is not None
    live.call.at.answered = 1.0
    live.call.state = State.CONNECTED
    stage.switchboard.directory.follow(live)
    assert stage.switchboard.directory.attended_of_trunk(TRUNK) == SHARE - 1


async def test_a_call_that_its_user_does_not_take_ends_without_a_message_and_they_read_why(stage: Stage) -> None:
    await flood(stage, MENU)
    await stage.incoming("for-alice", called="+15550196")
    live = stage.switchboard.directory.by_dialog(DialogKey("for-alice"))
    assert live is not None
    stage.switchboard.feed(live, ev.TimerFired(timer=Timer.EXPIRY))
    await stage.settle()
    assert stage.sip.commands[-1] == ("reject", "for-alice", 480)
    assert stage.reasons() == ["attendants_busy"]
    assert "not leave a message" in stage.matrix.content("m.room.message")["body"]


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, MAX_ATTENDED_OF_A_TRUNK),
        ({"max_calls": 30}, 15),
        ({"max_calls": 1}, 1),
        ({"max_calls": 30, "max_attended": 4}, 4),
        ({"max_attended": 400}, 400),
    ],
)
def test_people_keep_half_of_a_trunk_unless_it_is_set_otherwise(settings: dict[str, int], share: int) -> None:
    trunk = TrunkConfig.model_validate({"server": "sip.example.net"} | settings)
    assert max_attended(trunk) == share
