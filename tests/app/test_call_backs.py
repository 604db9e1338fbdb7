"""Whoever helps calls back: for an hour nothing that keeps other calls from a user keeps this one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.app.directory import MAX_UNANSWERED_CALL_BACKS, MAX_UNANSWERED_OF_A_USER, Directory
from bridge.app.sip_intake import MAX_UNANSWERED_OF_A_TRUNK
from bridge.core.ids import DialogKey, GroupName, UserId
from bridge.core.presence import PresenceState, RingWhen
from bridge.numbers.groups import Group
from bridge.numbers.hours import parse_hours
from bridge.numbers.policy import TrunkChoice
from bridge.numbers.reach import Reach, ToGroup, ToUser
from bridge.sip.call_backs import CALL_BACK_S, MAX_CALL_BACKS
from bridge.sip.events import CallAnswered, CallEnded, CallFailed
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB, GHOST, PHONE, ROOM, TRUNK
from tests.app.stage import Stage
from tests.app.test_spending import call, talk
from tests.clock import ManualClock

HELP = "+15550911"
NUMBER, GROUP_NUMBER = "+15550199", "+15550200"
MONDAYS = "mon 9:00-10:00"
Obstacle = Callable[[Stage], Awaitable[object]]


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A trunk that carries calls for help; on a Thursday."""
    inbound = {
        NUMBER: Reach(to=ToUser(ALICE)),
        GROUP_NUMBER: Reach(to=ToGroup(GroupName("all"))),
        "+15550201": Reach(to=ToUser(ALICE), hours=parse_hours(MONDAYS)),
    }
    groups = {GroupName("all"): Group(members=(ALICE,))}
    async with open_stage(tmp_path, clock=ManualClock(), inbound=inbound, groups=groups) as stage:
        stage.plan = replace(stage.plan, trunks=(TrunkChoice(name=TRUNK, emergency=True, forwards=True),))
        yield stage


async def dial_help(stage: Stage) -> DialogKey:
    stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_112:example.org")})
    dialog = await call(stage, "help")
    stage.matrix.members[ROOM] = frozenset({ALICE, GHOST})
    return dialog


async def call_for_help(stage: Stage) -> None:
    """Alice calls, and whoever helps hangs up."""
    dialog = await dial_help(stage)
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
    stage.sip_intake.handle(CallEnded(dialog=dialog))
    await stage.settle()


async def rings(stage: Stage, *, called: str = NUMBER, caller: str = HELP) -> bool:
    before = len(stage.sip.commands)
    await stage.incoming(f"in-{before}", called=called, caller=caller)
    return "ring" in stage.sip.names()[before:]


async def is_not_there(stage: Stage) -> None:
    stage.ring_when[ALICE] = RingWhen.ONLINE
    stage.matrix.presences[ALICE] = PresenceState.OFFLINE


async def has_an_engaged_client(stage: Stage) -> None:
    stage.call_waiting = False
    await talk(stage, "another")


async def is_flooded(stage: Stage) -> None:
    for number in range(MAX_UNANSWERED_OF_A_USER):
        await stage.incoming(f"flood-{number}", caller=f"+155501{number:02}0")


async def has_a_flooded_trunk(stage: Stage) -> None:
    stage.switchboard.directory._unanswered[TRUNK] = MAX_UNANSWERED_OF_A_TRUNK


OBSTACLES: dict[str, Obstacle] = {
    "do not disturb": lambda stage: stage.settings.change(ALICE, do_not_disturb=True),
    "hours": lambda stage: stage.settings.change(ALICE, hours=MONDAYS),
    "blocked": lambda stage: stage.settings.block(ALICE, HELP),
    "forwarded": lambda stage: stage.settings.change(ALICE, forward="+15550122"),
    "presence": is_not_there,
    "engaged": has_an_engaged_client,
    "flooded": is_flooded,
    "flooded trunk": has_a_flooded_trunk,
}


@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=OBSTACLES.keys())
async def test_who_has_called_for_help_is_called_back_whatever_keeps_other_calls_away(
    stage: Stage, obstacle: Obstacle
) -> None:
    await obstacle(stage)
    assert not await rings(stage)
    await call_for_help(stage)
    assert await rings(stage)
    assert isinstance(stage.clock, ManualClock)
    stage.clock.now += CALL_BACK_S + 1
    assert not await rings(stage)


async def test_a_helper_who_shows_no_number_calls_back(stage: Stage) -> None:
    await stage.settings.change(ALICE, refuses_anonymous=True)
    assert not await rings(stage, caller="")
    await call_for_help(stage)
    assert await rings(stage, caller="")


@pytest.mark.parametrize("called", [GROUP_NUMBER, "+15550201"])
async def test_a_number_that_leads_to_the_user_by_a_group_or_by_the_hour_does(stage: Stage, called: str) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    assert not await rings(stage, called=called)
    await call_for_help(stage)
    assert await rings(stage, called=called)


async def test_a_call_that_failed_may_have_been_heard_of(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    stage.sip_intake.handle(CallFailed(dialog=await dial_help(stage), status=486))
    await stage.settle()
    assert await rings(stage)


async def test_of_a_call_for_help_that_no_trunk_carries_nobody_has_heard(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    stage.plan = replace(stage.plan, trunks=(TrunkChoice(name=TRUNK),))
    await dial_help(stage)
    assert stage.reasons() == ["emergency_refused"]
    assert not await rings(stage)


async def test_a_helper_calls_back_while_the_first_call_is_not_over(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    await dial_help(stage)
    assert await rings(stage)


async def test_a_flood_of_who_called_for_help_has_an_end(stage: Stage) -> None:
    await call_for_help(stage)
    rung = [await rings(stage, caller=f"+155501{nth:02}0") for nth in range(MAX_UNANSWERED_CALL_BACKS + 2)]
    assert rung == [True] * MAX_UNANSWERED_CALL_BACKS + [False] * 2


async def test_nobody_elses_wishes_change(stage: Stage) -> None:
    await stage.settings.change(BOB, do_not_disturb=True)
    stage.plan = replace(stage.plan, inbound={**stage.plan.inbound, PHONE: Reach.of_user(BOB)})
    await call_for_help(stage)
    assert not await rings(stage, called=PHONE)


async def test_only_so_many_who_called_for_help_are_remembered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CALL_BACKS > 1_000
    monkeypatch.setattr("bridge.app.directory.MAX_CALL_BACKS", 0)
    await call_for_help(stage)
    directory: Directory = stage.switchboard.directory
    assert not directory.awaits_call_back(ALICE, stage.clock.monotonic())
