"""An admin asks whom a number reaches, and is told every step of it."""

from datetime import datetime

import pytest

from bridge.core.ids import GroupName, MenuName, UserId
from bridge.numbers.explain_called import explain_called
from bridge.numbers.groups import Group, RingOrder
from bridge.numbers.hours import parse_hours
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach, ToGroup, ToMenu, ToMessageBox

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
SALES, OFFICE, DESK = GroupName("sales"), GroupName("office"), GroupName("desk")
MAIN = MenuName("main")
MENUS = {MAIN: {"1": "group:sales", "otherwise": str(BOB)}}
GROUPS = {
    SALES: Group(members=(ALICE, BOB), ring=RingOrder.IN_TURN, otherwise=ToGroup(OFFICE)),
    OFFICE: Group(members=(BOB,), otherwise=ToMessageBox(ALICE)),
    DESK: Group(members=(BOB,), otherwise=ToMenu(MAIN)),
}
PLAN = NumberPlan(
    inbound={
        "+1555020*": Reach(to=ToGroup(SALES), hours=parse_hours("mon 9:00-17:00"), otherwise=ToMessageBox(BOB)),
        "201": Reach(to=ToGroup(OFFICE), hours=parse_hours("mon 9:00-17:00")),
        "202": Reach.of_user(ALICE),
        "204": Reach(to=ToMenu(MAIN)),
        "205": Reach(to=ToGroup(DESK)),
    }
)
NOON, NIGHT = datetime(2026, 11, 30, 12), datetime(2026, 11, 30, 22)


@pytest.mark.parametrize(
    ("called", "moment", "lines"),
    [
        (
            "+15550201",
            NOON,
            [
                "numbers.inbound.+1555020*: Mon 12:00, within its hours: group:sales",
                "groups.sales: @alice:example.org, @bob:example.org in turn, 20 s each; otherwise group:office",
                "groups.office: @bob:example.org together; otherwise voicemail:@alice:example.org",
            ],
        ),
        (
            "+15550201",
            NIGHT,
            ["numbers.inbound.+1555020*: Mon 22:00, outside of its hours: voicemail:@bob:example.org"],
        ),
        (
            "205",
            NOON,
            [
                "numbers.inbound.205: group:desk",
                "groups.desk: @bob:example.org together; otherwise menu:main",
                "menus.main: 1: group:sales",
                "menus.main: otherwise: @bob:example.org",
            ],
        ),
        ("202", NIGHT, ["numbers.inbound.202: @alice:example.org"]),
        (
            "204",
            NIGHT,
            ["numbers.inbound.204: menu:main", "menus.main: 1: group:sales", "menus.main: otherwise: @bob:example.org"],
        ),
    ],
)
def test_every_step_of_a_called_number_is_told(called: str, moment: datetime, lines: list[str]) -> None:
    answer = explain_called(PLAN, GROUPS, called, moment, menus=MENUS)
    assert list(answer.lines[1:]) == lines
    assert answer.permitted


@pytest.mark.parametrize(
    ("called", "moment", "reason"), [("203", NOON, "unassigned_number"), ("201", NIGHT, "out_of_hours")]
)
def test_a_number_that_reaches_nobody_says_why(called: str, moment: datetime, reason: str) -> None:
    answer = explain_called(PLAN, GROUPS, called, moment, menus=MENUS)
    assert not answer.permitted
    assert answer.lines[-1].startswith(f"refused: {reason}:")
