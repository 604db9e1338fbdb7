"""What an admin is told of a call that nobody makes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bridge.core.ids import CallId, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.accounts import Booking
from bridge.numbers.dial_plan import Choose, DialRule
from bridge.numbers.explain import Explanation, Question, explain
from bridge.numbers.ledger import Ledger
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import Tariff
from bridge.numbers.permission import Permission
from bridge.numbers.policy import Decision, NumberPlan, TrunkChoice
from bridge.numbers.reach import Reach
from bridge.numbers.standing import Standing

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


DAY, CENT = date(2026, 3, 31), 10_000


def standing(*limits: Limit, used: Iterable[Booking] = (), **more: Any) -> Standing:
    ledger = Ledger(limits=limits or LIMITS)
    ledger.load(used)
    return Standing(ledger=ledger, day=DAY, **more)


def answer(number: str, user: UserId = ALICE, **known: Any) -> Explanation:
    return explain(PLAN, Question(user=user, dialled=number), known.get("standing", standing()), currency="EUR")


def told(number: str, user: UserId = ALICE, **known: Any) -> list[str]:
    return list(answer(number, user, **known).lines)


def used(user: UserId, *, seconds: float = 0, cost: int = 0) -> Booking:
    return Booking(account=user, day=DAY, seconds=seconds, cost=cost)


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
    assert not answer(number, user).permitted


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


def test_trunks_without_a_price_are_left_out_under_a_limit_of_money_as_they_are_by_a_call() -> None:
    everywhere = answer("+8613912345678", standing=standing(Limit(who=(ALICE,), day=Cap(seconds=60))))
    assert everywhere.permitted
    assert everywhere.lines[4:6] == (
        "trunk 1: a, price unknown, shows +15550101",
        "trunk 2: b, price unknown, shows +15550101",
    )
    within = told("+8613912345678")
    assert within[4:7] == [
        "trunk 1: c, free of charge, shows +15550101",
        "trunk a: is not used, for its price is unknown and a limit counts money",
        "trunk b: is not used, for its price is unknown and a limit counts money",
    ]


def test_a_call_whose_price_nobody_knows_is_refused_under_a_limit_of_money() -> None:
    plan = replace(PLAN, trunks=PLAN.trunks[:2], rules=())
    refused = explain(plan, Question(user=ALICE, dialled="+8613912345678"), standing())
    assert not refused.permitted
    assert refused.lines[-1].startswith("refused: no_price: ")


def test_a_limit_that_is_used_up_refuses_and_what_is_used_is_said() -> None:
    mine = [used(ALICE, seconds=90, cost=5_000_000), used(UserId("@bob:example.org"), cost=CENT)]
    refused = answer("020 7946 0018", standing=standing(used=mine))
    assert not refused.permitted
    assert refused.lines[-3:] == (
        "permissions.limits[0]: 60 minutes a call; 5.00 EUR a day, 5.00 EUR used; 2 calls at once; 5 attempts a minute "
        "(each)",
        "permissions.limits[1]: 100.00 EUR a month, 5.01 EUR used (together)",
        "refused: limit_reached: You have reached the limit of your calls for today.",
    )
    assert answer("020 7946 0018", standing=standing(used=[used(ALICE, seconds=90)])).permitted


def test_whoever_is_suspended_is_refused_but_not_a_call_for_help() -> None:
    suspended = standing(suspended_until=1_775_001_600.0)
    refused = answer("020 7946 0018", standing=suspended)
    assert not refused.permitted
    assert refused.lines[-2] == "suspended: until 2026-04-01 00:00 UTC, for calls that look like fraud"
    assert refused.lines[-1].startswith("refused: suspended: ")
    assert answer("112", standing=suspended).permitted


def test_whether_the_user_hides_their_number_is_known_unless_it_is_dialled_otherwise() -> None:
    hidden = standing(withheld=True)
    assert told("020 7946 0018", standing=hidden)[4].endswith("number withheld (the trunk knows +15550101)")
    assert told("1470 020 7946 0018", standing=hidden)[4].endswith("shows +15550101")


def test_trunks_that_were_taken_out_of_service_are_not_used() -> None:
    def without_b(decision: Decision) -> Decision | Verdict:
        return decision.over((A, C))

    assert told("020 7946 0018", standing=standing(narrow=without_b))[4:6] == [
        "trunk 1: a, 0.02 EUR a minute in steps of 60 s, shows +15550101",
        "trunk b: is not used, for it was taken out of service",
    ]


def test_asking_holds_nothing_and_counts_no_attempt() -> None:
    known = standing(Limit(who=(ALICE,), day=Cap(seconds=10), calls_at_once=1, attempts_per_minute=1))
    assert all(answer("020 7946 0018", standing=known).permitted for _ in range(3))
    assert not isinstance(known.ledger.admit(CallId("one"), ALICE, [None], day=DAY, now=0.0), Verdict)
    assert told("020 7946 0018", standing=known)[-1].startswith("refused: too_many_attempts: ")
    assert told("020 7946 0018", standing=replace(known, now=61.0))[-1].startswith("refused: calls_at_once: ")
