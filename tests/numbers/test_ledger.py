"""Limits of calls: what is booked, what is refused, and that nobody can spend more than the caps allow."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.core.ids import CallId, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.accounts import Booking
from bridge.numbers.ledger import SLICE_S, Ledger
from bridge.numbers.limits import CALLS_AT_ONCE, NO_PRICE, TOO_MANY_ATTEMPTS, Cap, Limit, Span, spent, warning
from bridge.numbers.money import Price

ALICE, BOB, EVE = UserId("@alice:example.org"), UserId("@bob:example.org"), UserId("@eve:elsewhere.net")
CHEAP, DEAR = TrunkName("cheap"), TrunkName("dear")
DAY = date(2026, 3, 31)
CENT = 10_000


def price(cents_a_minute: int = 10, *, step_s: int = 60, trunk: TrunkName = CHEAP) -> Price:
    return Price(trunk=trunk, per_minute=cents_a_minute * CENT, step_s=step_s)


def ledger(*limits: Limit) -> Ledger:
    return Ledger(limits=limits)


def admit(books: Ledger, call_id: str, *, user: UserId = ALICE, prices: tuple[Price | None, ...] | None = None,
          day: date = DAY, now: float = 0.0) -> object:  # fmt: skip
    return books.admit(CallId(call_id), user, (price(),) if prices is None else prices, day=day, now=now)


def talk(books: Ledger, call_id: str, *, trunk: TrunkName = CHEAP, longest_s: float = 36_000, day: date = DAY) -> float:
    """Talk until a limit ends the call, or for so long; gives what was booked."""
    books.answered(CallId(call_id), trunk, day=day)
    while books.booked_s(CallId(call_id)) < longest_s and books.go_on(CallId(call_id), day=day):
        pass
    seconds = books.booked_s(CallId(call_id))
    books.finish(CallId(call_id))
    return seconds


def limit(**caps: object) -> Limit:
    return Limit(**{"who": ("example.org",), **caps})  # type: ignore[arg-type]


def test_days_that_no_limit_adds_up_any_more_are_forgotten() -> None:
    cap = limit(month=Cap(seconds=100))
    books = ledger(cap)
    admit(books, "a")
    books.accounts.forget(before=DAY)
    assert books.accounts.used(cap.account(ALICE), Span.MONTH, DAY).seconds == SLICE_S
    books.accounts.forget(before=DAY + timedelta(days=1))
    assert books.accounts.used(cap.account(ALICE), Span.MONTH, DAY).seconds == 0


@pytest.mark.parametrize(
    ("caps", "seconds"),
    [
        ({"call": Cap(seconds=65)}, 65),
        ({"day": Cap(seconds=125)}, 125),
        ({"month": Cap(seconds=3)}, 3),
        ({"call": Cap(cost=10 * CENT)}, 60),
        ({"call": Cap(cost=29 * CENT)}, 120),
        ({"day": Cap(cost=30 * CENT)}, 180),
        ({"month": Cap(cost=30 * CENT), "call": Cap(seconds=100)}, 100),
    ],
)
def test_a_call_ends_at_the_tightest_cap(caps: dict[str, Cap], seconds: float) -> None:
    books = ledger(limit(**caps))
    admit(books, "one")
    assert talk(books, "one") == seconds


@pytest.mark.parametrize(
    ("caps", "first_s", "span"),
    [
        ({"day": Cap(seconds=60)}, 60, Span.DAY),
        ({"day": Cap(cost=10 * CENT)}, 60, Span.DAY),
        ({"month": Cap(seconds=600), "day": Cap(seconds=700)}, 600, Span.MONTH),
        ({"call": Cap(cost=9 * CENT)}, 0, Span.CALL),
        ({"day": Cap(cost=0)}, 0, Span.DAY),
    ],
)
def test_what_is_spent_is_spent(caps: dict[str, Cap], first_s: float, span: Span) -> None:
    books = ledger(limit(**caps))
    if first_s:
        admit(books, "one")
        assert talk(books, "one") == first_s
    assert admit(books, "two") == spent(span)
    free = (price(0),)
    if all(cap.seconds is None for cap in caps.values()):
        assert not isinstance(admit(books, "three", prices=free), Verdict)


def test_a_new_day_and_a_new_month_begin_at_nothing() -> None:
    books = ledger(limit(day=Cap(seconds=60), month=Cap(seconds=90)))
    day = date(2026, 3, 30)
    admit(books, "one", day=day)
    assert talk(books, "one", day=day) == 60
    admit(books, "two", day=day + timedelta(days=1))
    assert talk(books, "two", day=day + timedelta(days=1)) == 30
    assert admit(books, "three", day=day + timedelta(days=1)) == spent(Span.MONTH)
    admit(books, "four", day=day + timedelta(days=2))
    assert talk(books, "four", day=day + timedelta(days=2)) == 60


def test_each_has_a_limit_for_themselves_or_all_share_one() -> None:
    books = ledger(limit(day=Cap(seconds=60)))
    admit(books, "one")
    assert (talk(books, "one"), isinstance(admit(books, "two", user=BOB), Verdict)) == (60, False)
    shared = ledger(limit(day=Cap(seconds=60), together=True))
    admit(shared, "one")
    assert (talk(shared, "one"), admit(shared, "two", user=BOB)) == (60, spent(Span.DAY))
    assert not isinstance(admit(shared, "three", user=EVE), Verdict)


def test_calls_at_once_are_counted_from_the_dialling() -> None:
    books = ledger(limit(calls_at_once=2))
    admit(books, "one")
    admit(books, "two")
    assert admit(books, "three") is CALLS_AT_ONCE
    assert not isinstance(admit(books, "four", user=BOB), Verdict)
    books.finish(CallId("one"))
    assert not isinstance(admit(books, "five"), Verdict)


def test_attempts_are_counted_within_a_minute() -> None:
    books = ledger(limit(attempts_per_minute=3))
    for at in range(3):
        admit(books, f"call {at}", now=at)
    assert admit(books, "more", now=59) is TOO_MANY_ATTEMPTS
    assert not isinstance(admit(books, "later", now=60), Verdict)
    assert admit(books, "again", now=60.5) is TOO_MANY_ATTEMPTS


def test_over_a_trunk_without_a_price_no_limit_of_money_could_be_kept() -> None:
    books = ledger(limit(day=Cap(cost=100 * CENT)))
    assert admit(books, "one", prices=(None,)) is NO_PRICE
    assert admit(books, "two", prices=(None, price(trunk=DEAR))) == (DEAR,)
    assert admit(books, "three", user=EVE, prices=(None,)) == ()


def test_what_is_held_for_a_call_that_nobody_answers_is_free_again() -> None:
    books = ledger(limit(day=Cap(cost=10 * CENT)))
    admit(books, "one")
    assert admit(books, "two") == spent(Span.DAY)
    assert books.finish(CallId("one")) == 0
    assert not isinstance(admit(books, "three"), Verdict)
    assert books.accounts.used(ALICE, Span.DAY, DAY + timedelta(days=1)).cost == 0


def test_a_call_is_charged_at_the_price_of_the_trunk_that_carries_it() -> None:
    books = ledger(limit(day=Cap(cost=100 * CENT)))
    admit(books, "one", prices=(price(1), price(90, trunk=DEAR)))
    assert books.accounts.used(ALICE, Span.DAY, DAY).cost == 90 * CENT
    books.answered(CallId("one"), CHEAP, day=DAY)
    assert books.accounts.used(ALICE, Span.DAY, DAY).cost == 1 * CENT


def test_a_call_that_is_transferred_costs_what_the_other_number_costs_from_then_on() -> None:
    books = ledger(limit(call=Cap(cost=100 * CENT)))
    admit(books, "one")
    books.answered(CallId("one"), CHEAP, day=DAY)
    books.moved(CallId("one"), price(60, step_s=1))
    for _ in range(6):
        books.go_on(CallId("one"), day=DAY)
    assert books.accounts.used(ALICE, Span.DAY, DAY).cost == 70 * CENT
    assert books.finish(CallId("one"), talked_s=65.5) == 66 * CENT


def test_a_warning_is_given_once_and_in_time() -> None:
    books = ledger(limit(call=Cap(seconds=100)))
    admit(books, "one")
    books.answered(CallId("one"), CHEAP, day=DAY)
    warnings = []
    for tick in range(10):
        books.go_on(CallId("one"), day=DAY)
        left = books.warn(CallId("one"), day=DAY, talked_s=10.0 * tick)
        warnings += [(10 * tick, left.seconds, left.span)] if left else []
    assert warnings == [(40, 60.0, Span.CALL)]
    assert warning(Span.CALL, 60.0) == (
        "This call will be ended in about a minute: then it reaches the limit of a single call."
    )
    assert "about 25 seconds" in warning(Span.DAY, 24.0)


def test_the_books_are_read_back_after_a_crash() -> None:
    books, again = ledger(limit(day=Cap(cost=30 * CENT))), ledger(limit(day=Cap(cost=30 * CENT)))
    admit(books, "one")
    written = [*books.answered(CallId("one"), CHEAP, day=DAY), *books.go_on(CallId("one"), day=DAY)]
    again.load(written)
    assert again.accounts.used(ALICE, Span.DAY, DAY) == books.accounts.used(ALICE, Span.DAY, DAY)
    admit(again, "two")
    assert talk(again, "two") == 120


@dataclass(slots=True)
class Attacker:
    """Somebody with a valid account, who does whatever the bridge lets them do; the trunk keeps its own books."""

    books: Ledger
    seed: int
    billed: int = 0
    billed_s: float = 0.0
    now: float = 0.0
    up: dict[CallId, tuple[Price, float]] = field(default_factory=dict)
    """Answered calls: what the trunk charges, and since when."""

    def run(self, calls: int) -> None:
        chance = random.Random(self.seed)
        for number in range(calls):
            self.now += chance.choice((0.0, 0.0, 0.5, 3.0))
            self._tick()
            call_id = CallId(f"call {number}")
            prices = tuple(price(chance.choice((1, 20, 90)), step_s=step, trunk=name)
                           for name, step in ((CHEAP, 1), (DEAR, 60)))  # fmt: skip
            if isinstance(self.books.admit(call_id, ALICE, prices, day=DAY, now=self.now), Verdict):
                continue
            fate = chance.random()
            if fate < 0.2:
                self.books.finish(call_id)
            elif fate < 0.9:
                carried = chance.choice(prices)
                self.books.answered(call_id, carried.trunk, day=DAY)
                self.up[call_id] = (carried, self.now)
            if self.up and chance.random() < 0.3:
                self._hang_up(chance.choice(sorted(self.up)), self.now)
            if chance.random() < 0.01:
                self._crash()
        self.now += 10_000
        self._tick()
        for call_id in list(self.up):
            self._hang_up(call_id, self.now)

    def _tick(self) -> None:
        """As the meter does: book ahead, and end what cannot be booked when its time is up."""
        for call_id, (_, since) in list(self.up.items()):
            while since + self.books.booked_s(call_id) <= self.now:
                if not self.books.go_on(call_id, day=DAY):
                    self._hang_up(call_id, since + self.books.booked_s(call_id))
                    break

    def _hang_up(self, call_id: CallId, at: float) -> None:
        carried, since = self.up.pop(call_id)
        self.billed += carried.until(at - since)
        self.billed_s += at - since
        self.books.finish(call_id)

    def _crash(self) -> None:
        """The next process hangs up all that is up, and knows what was written down."""
        for call_id in list(self.up):
            self._hang_up(call_id, self.now)
        used = self.books.accounts.used(ALICE, Span.MONTH, DAY)
        again = Ledger(limits=self.books.limits)
        again.load([Booking(account=ALICE, day=DAY, seconds=used.seconds, cost=used.cost)])
        self.books = again


@settings(max_examples=25, deadline=None)
@example(seed=38889, cost=110, seconds=None, call_cost=None, at_once=7)
@given(
    seed=st.integers(0, 1 << 32),
    cost=st.integers(0, 2_000) | st.none(),
    seconds=st.integers(0, 5_000) | st.none(),
    call_cost=st.integers(0, 100) | st.none(),
    at_once=st.integers(1, 100),
)
def test_an_attacker_with_a_thousand_calls_never_exceeds_the_cap(
    seed: int, cost: int | None, seconds: int | None, call_cost: int | None, at_once: int
) -> None:
    day = Cap(cost=None if cost is None else cost * CENT, seconds=seconds)
    call = Cap(cost=None if call_cost is None else call_cost * CENT)
    attacker = Attacker(ledger(limit(day=day, call=call, calls_at_once=at_once)), seed)
    attacker.run(1_000)
    assert not attacker.up
    if day.cost is not None:
        assert attacker.billed <= day.cost
    if seconds is not None:
        assert attacker.billed_s <= seconds + 1e-6


def test_a_slice_is_ten_seconds_at_most() -> None:
    assert SLICE_S <= 10


@pytest.mark.parametrize(
    ("limit", "costs", "charged"),
    [
        (Limit(who=("example.org",), day=Cap(cost=10 * CENT)), (6, 4, 1), (True, True, False)),
        (Limit(who=("example.org",), month=Cap(cost=10 * CENT)), (6, 5, 4), (True, False, True)),
        (Limit(who=("example.org",), call=Cap(cost=5 * CENT)), (6, 5, 5), (False, True, True)),
        (Limit(who=("example.org",), day=Cap(cost=10 * CENT)), (None,), (False,)),
        (Limit(who=("example.org",), day=Cap(seconds=60)), (None, 100), (True, True)),
        (Limit(who=("elsewhere.net",), day=Cap(cost=1)), (100,), (True,)),
    ],
)
def test_what_is_no_call_counts_towards_limits_of_money(
    limit: Limit, costs: tuple[int | None, ...], charged: tuple[bool, ...]
) -> None:
    books = ledger(limit)
    cents = (None if cost is None else cost * CENT for cost in costs)
    assert tuple(books.charge(ALICE, cost, day=DAY) is not None for cost in cents) == charged


BOTH = (ALICE, BOB)


def shared(*who: str, seconds: float = 60, **more: object) -> Limit:
    return Limit(who=who, together=True, day=Cap(seconds=seconds), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("who", [(ALICE, BOB, EVE), (BOB, ALICE), (EVE, "example.org")])
def test_what_is_used_of_a_shared_limit_is_not_forgotten_when_others_join_or_the_order_changes(
    who: tuple[str, ...],
) -> None:
    books = ledger(shared(*BOTH))
    admit(books, "one")
    assert talk(books, "one") == 60
    books.follow((shared(*who),))
    assert admit(books, "two", user=BOB) == spent(Span.DAY)


def test_what_somebody_has_used_counts_where_that_somebody_is() -> None:
    books = ledger(shared(*BOTH), shared(EVE))
    for user in (ALICE, BOB):
        admit(books, user, user=user)
        talk(books, user, longest_s=20)
    books.follow((shared(BOB), shared(ALICE, EVE)))
    admit(books, "alone", user=BOB)
    assert talk(books, "alone") == 40, "Bob's own twenty seconds are all that counts of him"
    admit(books, "elsewhere", user=EVE)
    assert talk(books, "elsewhere") == 40, "Alice has brought hers along"


def test_what_is_held_for_calls_counts_for_those_who_join_meanwhile() -> None:
    """Many calls at once, dialled before the limit is shared by more, leave no more than it allows."""
    books = ledger(shared(*BOTH, seconds=25))
    admit(books, "one")
    admit(books, "two", user=BOB)
    books.follow((shared(*BOTH, EVE, seconds=25, calls_at_once=3),))
    admit(books, "three", user=EVE)
    assert books.booked_s(CallId("three")) == 5.0
    assert admit(books, "four", user=EVE) is CALLS_AT_ONCE
    books.finish(CallId("one"))
    books.follow((shared(*BOTH, EVE, seconds=15),))
    assert admit(books, "five", user=EVE) == spent(Span.DAY)
    books.finish(CallId("two"))
    assert not isinstance(admit(books, "six"), Verdict)


def test_what_was_booked_for_a_shared_limit_as_one_counts_where_all_of_its_users_are() -> None:
    books = ledger(shared(*BOTH, EVE), shared(ALICE))
    books.load([Booking(account=" ".join(BOTH), day=DAY, seconds=50, cost=0)])
    admit(books, "one", user=EVE)
    assert talk(books, "one") == 10
    books.follow((shared(ALICE),))
    admit(books, "two")
    assert talk(books, "two") == 60, "nobody knows how much of it was hers"


def test_days_of_a_shared_limit_are_forgotten_as_well() -> None:
    books = ledger(shared(*BOTH))
    admit(books, "one")
    assert books.accounts.used(shared(*BOTH).everybody, Span.MONTH, DAY).seconds == SLICE_S
    books.accounts.forget(before=DAY + timedelta(days=1))
    assert books.accounts.used(shared(*BOTH).everybody, Span.MONTH, DAY).seconds == 0
