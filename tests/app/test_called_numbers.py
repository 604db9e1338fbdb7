"""Whom a called number reaches, by what the configuration says of it and by the hour."""

from datetime import UTC, datetime

import pytest

from bridge.calls.message import MessageBox
from bridge.core.clock import SystemClock
from bridge.numbers.hours import parse_hours
from bridge.numbers.reach import Reach, ToMessageBox, ToUser
from tests.app.outsides import ALICE, BOB
from tests.app.stage import Stage

CALLED = "+15550199"
WORK = parse_hours("mon-fri 9:00-17:00")
BOX = MessageBox(reasons=("no_answer",), longest_s=60.0, limit_s=90.0)


class SundayNoon(SystemClock):
    """Nobody works."""

    def wall(self) -> float:
        return datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


def changed(stage: Stage, reach: Reach, *, number: str = CALLED) -> Stage:
    """The same with another plan, on a Sunday."""
    stage.inbound, stage.clock = {number: reach}, SundayNoon()
    stage.__post_init__()
    return stage


@pytest.mark.parametrize(("number", "invitee"), [("+1555019*", ALICE), ("+155501990*", None)])
async def test_every_number_of_a_range_rings_its_user(stage: Stage, number: str, invitee: str | None) -> None:
    changed(stage, Reach.of_user(ALICE), number=number)
    await stage.incoming()
    assert stage.sip.names() == (["ring"] if invitee else ["reject"])


async def test_outside_of_its_hours_a_number_reaches_somebody_else(stage: Stage) -> None:
    await changed(stage, Reach(to=ToUser(ALICE), hours=WORK, otherwise=ToUser(BOB))).incoming()
    assert stage.matrix.content("m.call.invite")["invitee"] == BOB


async def test_outside_of_its_hours_a_number_without_anybody_else_rings_nobody(stage: Stage) -> None:
    await changed(stage, Reach(to=ToUser(ALICE), hours=WORK)).incoming()
    assert stage.sip.commands == [("reject", "in-1", 480)]
    assert stage.reasons() == ["out_of_hours"]


async def test_the_number_of_a_message_box_rings_nobody_and_takes_a_message(stage: Stage) -> None:
    stage.boxes[ALICE] = BOX
    await stage.settings.change(ALICE, do_not_disturb=True)
    await changed(stage, Reach(to=ToMessageBox(ALICE))).incoming()
    assert stage.sip.names() == ["accept"]
    assert stage.matrix.sent == []


async def test_whom_its_user_has_blocked_leaves_no_message(stage: Stage) -> None:
    stage.boxes[ALICE] = BOX
    changed(stage, Reach(to=ToMessageBox(ALICE)))
    await stage.settings.block(ALICE, "+15550100")
    await stage.incoming(caller="+15550100")
    assert stage.reasons() == ["blocked"]


async def test_a_number_in_its_hours_rings_its_user(stage: Stage) -> None:
    await changed(stage, Reach(to=ToUser(ALICE), hours=parse_hours("sun 9:00-17:00"), otherwise=ToUser(BOB))).incoming()
    assert stage.matrix.content("m.call.invite")["invitee"] == ALICE
