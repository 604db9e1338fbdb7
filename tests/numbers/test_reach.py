"""Whom a called number reaches: what can be written, what a call then finds, and when."""

from datetime import datetime

import pytest

from bridge.core.ids import GroupName, MenuName, UserId
from bridge.numbers.hours import parse_hours
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach, Target, ToGroup, ToMenu, ToMessageBox, ToUser, found, parse_target, person

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
SALES = ToGroup(GroupName("sales"))


@pytest.mark.parametrize(
    ("word", "target", "whose"),
    [
        ("@alice:example.org", ToUser(ALICE), ALICE),
        ("group:sales", SALES, None),
        ("menu:front-desk_2", ToMenu(MenuName("front-desk_2")), None),
        ("voicemail:@alice:example.org", ToMessageBox(ALICE), ALICE),
    ],
)
def test_a_target_is_read_and_written_as_one_word(word: str, target: Target, whose: UserId | None) -> None:
    assert parse_target(word) == target
    assert str(target) == word
    assert person(target) == whose


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "expected a user id such as"),
        ("alice", "expected a user id such as"),
        ("@alice", "expected a user id such as"),
        ("Group:sales", "expected a user id such as"),
        ("group:", "expected a name of a-z"),
        ("group: sales", "expected a name of a-z"),
        ("menu:Front", "expected a name of a-z"),
        ("group:" + "a" * 33, "expected a name of a-z"),
        ("voicemail:alice", "expected a user id such as"),
        ("voicemail:group:sales", "expected a user id such as"),
    ],
)
def test_anything_else_is_no_target(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_target(word)


PLAN = NumberPlan(
    default_region="DE",
    inbound={
        "+4930123456*": Reach(to=SALES),
        "+49301234561*": Reach.of_user(BOB),
        "+49301234560": Reach.of_user(ALICE),
        "2*": Reach.of_user(BOB),
        "201": Reach.of_user(ALICE),
    },
)


@pytest.mark.parametrize(
    ("called", "target"),
    [
        ("+49301234560", ToUser(ALICE)),
        ("+493012345600", SALES),
        ("+49301234569", SALES),
        ("+493012345611", ToUser(BOB)),
        ("030123456799", SALES),
        ("49301234561", ToUser(BOB)),
        ("+4930123456", SALES),
        ("+4930123455", None),
        ("201", ToUser(ALICE)),
        ("299", ToUser(BOB)),
        ("2", ToUser(BOB)),
        ("301", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_number_of_its_own_comes_before_a_range_and_a_longer_range_before_a_shorter(
    called: str, target: Target | None
) -> None:
    reach = PLAN.reach_of(called)
    assert (reach.to if reach else None) == target


def test_a_range_is_nobody_s_own_number() -> None:
    assert PLAN.numbers_of(BOB) == []
    assert PLAN.user_of("+493012345611") == BOB
    assert PLAN.user_of("+49301234569") is None


def test_blocks_of_a_user_are_known_beside_the_numbers() -> None:
    assert PLAN.blocks_of(BOB) == ["+49301234561*", "2*"]
    assert PLAN.blocks_of(ALICE) == []


@pytest.mark.parametrize(
    ("reach", "is_called"),
    [
        (Reach.of_user(ALICE), True),
        (Reach(to=SALES, hours=parse_hours("mon 9:00-10:00"), otherwise=ToUser(ALICE)), True),
        (Reach.of_user(BOB), False),
        (Reach(to=SALES), False),
        (Reach(to=ToMenu(MenuName("main"))), False),
        (Reach(to=ToMessageBox(ALICE)), False),
    ],
)
@pytest.mark.parametrize("number", ["+15550199", "+1555020*", "201"])
def test_a_call_is_a_user_s_own_where_its_number_rings_the_user_alone(
    number: str, reach: Reach, is_called: bool
) -> None:
    assert NumberPlan(inbound={number: reach}).is_called(ALICE) is is_called


WORK = parse_hours("mon-fri 9:00-17:00")
MONDAY_NOON, MONDAY_NIGHT = datetime(2026, 11, 30, 12), datetime(2026, 11, 30, 22)


@pytest.mark.parametrize(
    ("reach", "moment", "target"),
    [
        (Reach(to=SALES), MONDAY_NIGHT, SALES),
        (Reach(to=SALES, hours=WORK), MONDAY_NOON, SALES),
        (Reach(to=SALES, hours=WORK), MONDAY_NIGHT, None),
        (Reach(to=SALES, hours=WORK, otherwise=ToMessageBox(BOB)), MONDAY_NOON, SALES),
        (Reach(to=SALES, hours=WORK, otherwise=ToMessageBox(BOB)), MONDAY_NIGHT, ToMessageBox(BOB)),
    ],
)
def test_a_number_has_hours(reach: Reach, moment: datetime, target: Target | None) -> None:
    assert reach.at(moment) == target


class CountedNumbers(dict[str, Reach]):
    """Counts how often something is looked up."""

    looked_up = 0

    def __contains__(self, key: object) -> bool:
        self.looked_up += 1
        return super().__contains__(key)


def test_a_number_as_long_as_a_message_costs_no_more_than_one_of_15_digits() -> None:
    numbers = CountedNumbers({"+49301234567890*": Reach.of_user(UserId("@alice:example.org"))})
    assert found(numbers, ["+49301234567890" + "1" * 60_000]) is not None
    assert numbers.looked_up < 20
