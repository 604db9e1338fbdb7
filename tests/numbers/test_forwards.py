"""How many calls are forwarded for whom, and for how long that is remembered."""

import pytest

from bridge.core.ids import UserId
from bridge.numbers.forwards import DAY_S, ForwardLimits, ForwardWatch, NotForwarded

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")


@pytest.mark.parametrize(
    ("limits", "callers", "last", "refused"),
    [
        (ForwardLimits(of_user=3, of_caller=2), "aa", "a", NotForwarded.CALLER_LIMIT),
        (ForwardLimits(of_user=3, of_caller=2), "aa", "b", None),
        (ForwardLimits(of_user=3, of_caller=2), "abc", "d", NotForwarded.USER_LIMIT),
        (ForwardLimits(of_user=0, of_caller=2), "abcdefghaa", "b", None),
        (ForwardLimits(of_user=0, of_caller=2), "aab", "a", NotForwarded.CALLER_LIMIT),
        (ForwardLimits(of_user=3, of_caller=0), "aa", "a", None),
        (ForwardLimits(of_user=0, of_caller=0), "a" * 99, "a", None),
    ],
)
def test_one_caller_gets_few_and_all_of_them_so_many(
    limits: ForwardLimits, callers: str, last: str, refused: NotForwarded | None
) -> None:
    watch = ForwardWatch(lambda: limits)
    for at, caller in enumerate(callers):
        watch.note(ALICE, caller, float(at))
    assert watch.refuses(ALICE, last, 100.0) is refused
    assert watch.refuses(BOB, last, 100.0) is None


def test_a_day_later_they_are_forgotten_one_by_one() -> None:
    watch = ForwardWatch(lambda: ForwardLimits(of_user=2, of_caller=0))
    watch.note(ALICE, "a", 0.0)
    watch.note(ALICE, "a", 10.0)
    assert watch.refuses(ALICE, "a", DAY_S - 1) is NotForwarded.USER_LIMIT
    assert watch.refuses(ALICE, "a", DAY_S + 1) is None
    watch.note(ALICE, "a", DAY_S + 1)
    assert watch.refuses(ALICE, "a", DAY_S + 2) is NotForwarded.USER_LIMIT


def test_limits_that_are_changed_count_at_once() -> None:
    limits = [ForwardLimits(of_user=1)]
    watch = ForwardWatch(lambda: limits[-1])
    watch.note(ALICE, "a", 0.0)
    assert watch.refuses(ALICE, "a", 1.0) is NotForwarded.USER_LIMIT
    limits.append(ForwardLimits(of_user=5))
    assert watch.refuses(ALICE, "a", 1.0) is None
