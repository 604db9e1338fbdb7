"""Patterns of fraud, and of people who only call a lot."""

import pytest

from bridge.core.ids import UserId
from bridge.numbers.abuse import Suspicion, Thresholds, Watch

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
THRESHOLDS = Thresholds(countries=4, sequential=5, short_calls=6)
ABROAD = ["+4930123456", "+33123456789", "+390612345678", "+34911234567", "+442079460018"]


def dial(watch: Watch, *numbers: str, every_s: float = 1.0) -> list[Suspicion]:
    verdicts = [watch.dialled(ALICE, number, every_s * at) for at, number in enumerate(numbers)]
    return [verdict for verdict in verdicts if verdict]


@pytest.mark.parametrize(
    ("numbers", "every_s", "suspicions"),
    [
        (ABROAD[:3], 1, []),
        (ABROAD[:4], 1, [Suspicion.COUNTRIES]),
        (ABROAD[:4], 1_300, []),
        ([*ABROAD[:3], *ABROAD[:3]], 1, []),
        (["112", "110", "911", "201", "202"], 1, []),
        ([f"+1415555010{n}" for n in range(4)], 1, []),
        ([f"+1415555010{n}" for n in range(5)], 1, [Suspicion.SEQUENTIAL]),
        ([f"+1415555010{n}" for n in (4, 0, 3, 1, 2)], 1, [Suspicion.SEQUENTIAL]),
        ([f"+1415555010{n}" for n in range(5)], 151, []),
        ([f"+1415555{n}00" for n in range(10, 20)], 1, []),
        (["+14155550100"] * 20, 1, []),
    ],
)
def test_dialling_is_judged_by_its_pattern(numbers: list[str], every_s: float, suspicions: list[Suspicion]) -> None:
    assert dial(Watch(THRESHOLDS), *numbers, every_s=every_s) == suspicions


def let_go(
    watch: Watch, count: int, *, talked_s: float = 0.0, by_caller: bool = True, every_s: float = 1.0, same: bool = False
) -> list[Suspicion]:
    verdicts = [
        watch.ended(
            ALICE,
            "+14155550100" if same else f"+1415555{n:02}00",
            talked_s=talked_s,
            by_caller=by_caller,
            now=n * every_s,
        )
        for n in range(count)
    ]
    return [verdict for verdict in verdicts if verdict]


def test_calls_that_are_let_go_at_once_lure_people_into_calling_back() -> None:
    assert let_go(Watch(THRESHOLDS), 5) == []
    assert let_go(Watch(THRESHOLDS), 6) == [Suspicion.WANGIRI]
    assert let_go(Watch(THRESHOLDS), 6, talked_s=9) == [Suspicion.WANGIRI]
    assert let_go(Watch(THRESHOLDS), 20, talked_s=10) == []
    assert let_go(Watch(THRESHOLDS), 20, by_caller=False) == []
    assert let_go(Watch(THRESHOLDS), 20, every_s=130) == []
    assert let_go(Watch(THRESHOLDS), 20, same=True) == []


def test_who_is_forgiven_begins_anew() -> None:
    watch = Watch(THRESHOLDS)
    dial(watch, *ABROAD[:4])
    watch.forget(ALICE)
    assert watch.dialled(ALICE, ABROAD[4], 5.0) is None


def test_nobody_is_judged_by_what_others_do() -> None:
    watch = Watch(THRESHOLDS)
    dial(watch, *ABROAD[:3])
    assert watch.dialled(BOB, ABROAD[3], 4.0) is None


def test_nothing_is_looked_at_that_is_switched_off() -> None:
    watch = Watch(Thresholds(countries=0, sequential=0, short_calls=0))
    assert dial(watch, *ABROAD, *(f"+1415555010{n}" for n in range(10))) == []
    assert let_go(watch, 100) == []
