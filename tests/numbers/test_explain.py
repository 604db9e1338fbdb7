"""What an admin is told of a call that nobody makes."""

import pytest

from bridge.core.ids import TrunkName, UserId
from bridge.numbers.dial_plan import Choose, DialRule
from bridge.numbers.explain import Question, explain
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import Tariff
from bridge.numbers.permission import Permission
from bridge.numbers.policy import NumberPlan, TrunkChoice
from bridge.numbers.reach import Reach

ALICE, EVE = UserId("@alice:example.org"), UserId("@eve:elsewhere.net")
A, B, C = TrunkName("a"), TrunkName("b"), TrunkName("c")
PLAN = NumberPlan(
    default_region="GB",
    permissions=(
        Permission(who=(ALICE,), prefixes=("+49",)),
        Permission(who=("example.org",), prefixes=("+",), but_not=("+33",)),
    ),
    rules=(
        DialRule(prefixes=("+44",), trunks=(A, B), choose=Choose.COST),
        DialRule(prefixes=("+49",), trunks=(A, C), choose=Choose.WEIGHT, weights={A: 3}),
    ),
    trunks=(
        TrunkChoice(name=A, caller_id="+15550199", tariff=Tariff(per_minute={"+44": 20_000, "+49": 5_000})),
        TrunkChoice(name=B, tariff=Tariff(per_minute={"+44": 12_500}, step_s=1)),
        TrunkChoice(name=C, emergency=True),
    ),
    inbound={"+15550101": Reach.of_user(ALICE)},
    emergency=frozenset({"112"}),
)
LIMITS = (
    Limit(who=(ALICE,), call=Cap(seconds=3600), day=Cap(cost=5_000_000), calls_at_once=2, attempts_per_minute=5),
    Limit(who=("example.org",), together=True, month=Cap(cost=100_000_000)),
)


def told(number: str, user: UserId = ALICE) -> list[str]:
    return list(explain(PLAN, LIMITS, Question(user=user, dialled=number), currency="EUR").lines)


def test_a_permitted_call_shows_rules_trunks_caller_price_and_limits() -> None:
    assert told("020 7946 0018") == [
        "number: +442079460018",
        "permissions.outbound[0]: does not permit it",
        "permissions.outbound[1]: permits +",
        "dial plan: numbers.dial_plan[0], by cost",
        "trunk 1: b, 0.0125 EUR a minute in steps of 1 s, shows +15550101",
        "trunk 2: a, 0.02 EUR a minute in steps of 60 s, shows +15550101",
        "permissions.limits[0]: 60 minutes a call; 5.00 EUR a day; 2 calls at once; 5 attempts a minute (each)",
        "permissions.limits[1]: 100.00 EUR a month (together)",
    ]


@pytest.mark.parametrize(
    ("number", "user", "last"),
    [
        ("+33123456789", ALICE, "refused: not_permitted: You are not permitted to call this number."),
        ("+881612345678", ALICE, "refused: costly_number: "),
        ("+15550100", EVE, "refused: outbound_is_off: "),
        ("hello", ALICE, "refused: invalid_number: "),
    ],
)
def test_a_refusal_shows_its_reason_and_the_users_sentence(number: str, user: UserId, last: str) -> None:
    assert told(number, user)[-1].startswith(last)
    assert not explain(PLAN, LIMITS, Question(user=user, dialled=number)).permitted


def test_what_makes_a_number_costly_is_said() -> None:
    assert "permissions.outbound[1]: permits +, but not this number: satellite" in told("+881612345678")


def test_weights_free_trunks_and_emergency_calls_are_shown_as_what_they_are() -> None:
    assert told("+4930123456")[3:6] == [
        "dial plan: numbers.dial_plan[1], by weight",
        "trunk 1: a, weight 3, 0.005 EUR a minute in steps of 60 s, shows +15550101",
        "trunk 2: c, weight 1, free of charge, shows +15550101",
    ]
    assert told("112", EVE) == [
        "number: 112",
        "permitted: as a call to an emergency number, without any limit",
        "trunk 1: c, free of charge, anonymous",
    ]
