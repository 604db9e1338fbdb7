"""Watches what calls out cost while they go on: books them ahead, warns, and ends them when nothing is left.

The rules are in `numbers.ledger`, `numbers.limits` and `numbers.abuse`; this gives them the time, and writes the books.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from bridge.app.cash_book import CashBook, paid_number
from bridge.app.live_call import LiveCall
from bridge.app.suspensions import SuspensionRule, Suspensions
from bridge.calls import events as ev
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.handover import partner_id
from bridge.calls.state import Direction, EndedBy, State
from bridge.core.clock import Clock
from bridge.core.ids import CallId, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Verdict
from bridge.numbers import limits
from bridge.numbers.abuse import SHORT_CALL_S, Suspicion, Thresholds, Watch
from bridge.numbers.accounts import Booking
from bridge.numbers.ledger import Ledger
from bridge.numbers.limits import Limit
from bridge.numbers.money import MICRO
from bridge.numbers.policy import Decision, NumberPlan, Route
from bridge.numbers.standing import Standing
from bridge.store.spending import StoredMeter

AHEAD_S = 1.5
"""How long before a slice ends the next one is booked."""
EARLY_S = 0.5
"""How long before the end of what is booked a call is ended: the BYE must arrive before another step is charged for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """How the meter reaches calls and people: handed in by the switchboard."""

    feed: Callable[[LiveCall, ev.Event], None]
    warn: Callable[[LiveCall, str], None]
    calls_of: Callable[[UserId], Sequence[LiveCall]]
    lives: Callable[[], Sequence[LiveCall]]


class Meter:
    """One for all calls. Calls to emergency numbers never come near it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        watch: Watch,
        suspensions: Suspensions,
        plan: Callable[[], NumberPlan],
        cash_book: CashBook,
        clock: Clock,
        telemetry: Telemetry,
        forwarded_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._ledger = ledger
        self.cash_book = cash_book
        self._watch = watch
        self._suspensions = suspensions
        self._plan = plan
        self._clock = clock
        self._telemetry = telemetry
        self._forwarded_s = forwarded_s
        self._outlets: Outlets | None = None

    def connect(self, outlets: Outlets) -> None:
        """Before the first call."""
        self._outlets = outlets

    async def load(self) -> None:
        """Read the books of this month, and who is suspended."""
        await self._suspensions.load()
        await self.cash_book.load()

    # Before a call.

    def admit(self, call_id: CallId, user: UserId, decision: Decision, *, watched: bool = True) -> Decision | Verdict:
        """Whether a permitted call may be made now, and over which of its trunks.

        What is not `watched` costs and is limited as any call, and never looks like fraud: test calls are all alike.
        """
        if decision.is_emergency:
            return decision
        number, now = decision.routes[0].number, self._clock.monotonic()
        if self._suspensions.concerns(user):
            return limits.SUSPENDED
        if watched and (suspicion := self._watch.dialled(user, number, now)) is not None:
            self._suspend(user, suspicion)
            return limits.SUSPENDED
        prices = self._plan().prices_of(decision)
        admitted = self._ledger.admit(call_id, user, prices, day=self._today(), now=now)
        return admitted if isinstance(admitted, Verdict) else decision.over(admitted)

    def standing(self, user: UserId) -> Standing:
        """What is known of a user who asks what would become of a call."""
        return Standing(
            ledger=self._ledger,
            day=self._today(),
            now=self._clock.monotonic(),
            suspended_until=dict(self.suspended()).get(user),
        )

    def may_forward(self, user: UserId) -> bool:
        """Whether a trunk may make calls by itself at this user's cost: nobody here sees how long they last."""
        return not self._suspensions.concerns(user) and (bool(self._forwarded_s()) or not self._ledger.caps(user))

    def pay_for_forwarding(self, user: UserId, route: Route) -> bool:
        """Book one of them with what the configuration takes for its length; false when no limit leaves room for it."""
        if not self.may_forward(user):
            return False
        price, seconds = self._plan().price_over(route.trunk, route.number), self._forwarded_s()
        cost = None if price is None else price.until(seconds)
        bookings = self._ledger.charge(user, cost, seconds=seconds, day=self._today())
        if bookings is None:
            return False
        self.cash_book.note(bookings)
        return True

    def suspends(self, user: UserId) -> bool:
        """Whether a user may neither call out nor write."""
        return self._suspensions.concerns(user)

    def charge_text(self, user: UserId, price: int | None, *, parts: int) -> list[Booking] | None:
        """Book a text message, to be written; `None` when a limit leaves no room, or nobody knows what it costs."""
        return self._ledger.charge(user, None if price is None else price * parts, day=self._today())

    def suspended(self) -> list[tuple[UserId, float]]:
        """Who may not call out, and until when (seconds since 1970)."""
        return self._suspensions.all()

    async def drain(self) -> None:
        """Wait until what was decided is written and told."""
        await self._suspensions.drain()
        await self.cash_book.drain()

    async def resume(self, user: UserId) -> bool:
        """Let a suspended user call again; false for one who is not."""
        if not await self._suspensions.resume(user):
            return False
        self._watch.forget(user)
        return True

    def admit_transfer(self, call: Call, route: Route) -> Route | Verdict:
        """Whether a call may go on with another number."""
        if self._plan().is_emergency(route.number):
            return route
        user, price = call.matrix.user, self._plan().price_over(route.trunk, route.number)
        if self._suspensions.concerns(user):
            return limits.SUSPENDED
        if self._ledger.knows(call.call_id):
            return limits.NO_PRICE if price is None and self._ledger.counts_money(user) else route
        now, today = self._clock.monotonic(), self._today()
        admitted = self._ledger.admit(call.call_id, user, [price], day=today, now=now)
        return admitted if isinstance(admitted, Verdict) else route

    # When the configuration is read again.

    def warn_before(self, seconds: float) -> None:
        """Warn calls so long before a limit ends them."""
        self._ledger.warn_s = seconds

    def change_rules(self, limits: tuple[Limit, ...], thresholds: Thresholds, rule: SuspensionRule) -> None:
        """Go by other limits, at once: calls that are up come under them as well."""
        self._watch.follow(thresholds)
        self._suspensions.follow(rule)
        if limits == self._ledger.limits or self._outlets is None:
            return
        self._ledger.follow(limits)
        for live in self._outlets.lives():
            begun = live.metered_since
            talked_s = 0.0 if begun is None else self._clock.monotonic() - begun
            self._write(live, self._ledger.renew(live.call.call_id, day=self._today(), talked_s=talked_s))
            if begun is not None and not live.call.ended:
                if live.meter_timer is not None:
                    live.meter_timer.cancel()
                    live.meter_timer = None
                self._plan_next(live)

    # During a call.

    def follow(self, live: LiveCall) -> None:
        """Look at a call after each of its events: is it answered, is it with somebody else, is its phone gone?"""
        call = live.call
        if call.state is State.TELLING:
            self.finished(live)
        if call.ended or not self._ledger.knows(call.call_id) or call.at.answered is None:
            return
        number = paid_number(call)
        if not number and call.second is None:
            # A transfer that came to nothing: the call goes on with the phone that has made it, and pays for it.
            self._ledger.release(call.call_id)
        elif live.metered_since is None and number:
            live.metered_since, live.metered_number = self._clock.monotonic(), number
            self._write(live, self._ledger.answered(call.call_id, call.trunk, day=self._today()))
            self._plan_next(live)
        elif number and number != live.metered_number:
            live.metered_number = number
            if (price := self._plan().price_over(call.trunk, number)) is not None:
                self._ledger.moved(call.call_id, price)

    def finished(self, live: LiveCall) -> None:
        """The call is over: what it has cost is known, and whether it looked like fraud."""
        call = live.call
        if live.meter_timer is not None:
            live.meter_timer.cancel()
            live.meter_timer = None
        # Held for the call to whom the user left this one, if that has never been placed (REFER).
        self._ledger.release(partner_id(call))
        if not self._ledger.knows(call.call_id):
            if (cost := self.cash_book.cost_of_left_over(call.call_id)) is not None:
                live.cost = cost
            return
        talked_s = 0.0 if live.metered_since is None else self._clock.monotonic() - live.metered_since
        live.cost = self._ledger.finish(call.call_id, talked_s=talked_s)
        if live.metered_since is not None:
            self.cash_book.forget(call.call_id, live.matrix_lane)
            self._telemetry.count("spend_total", live.cost / MICRO, trunk=call.trunk)
            self._telemetry.count("spend_seconds_total", talked_s, trunk=call.trunk)
        if not call.test:
            self._look_back(call, talked_s)

    def _look_back(self, call: Call, talked_s: float) -> None:
        heard_of = call.at.ringing is not None or call.at.answered is not None
        if call.direction is not Direction.OUTBOUND or not heard_of:
            return
        user, now = call.matrix.user, self._clock.monotonic()
        by_caller = call.ended_by is EndedBy.MATRIX or _was_let_run_out(call)
        suspicion = self._watch.ended(user, call.number, talked_s=talked_s, by_caller=by_caller, now=now)
        if suspicion is not None and not self._suspensions.concerns(user):
            self._suspend(user, suspicion)

    def _suspend(self, user: UserId, suspicion: Suspicion) -> None:
        """Whatever the user has going on over the trunks ends too."""
        self._suspensions.suspend(user, suspicion)
        if self._outlets is None:
            return
        for live in self._outlets.calls_of(user):
            if self._ledger.knows(live.call.call_id) and not live.call.ended:
                self._outlets.feed(live, ev.Aborted(verdict=limits.SUSPENDED))

    def _plan_next(self, live: LiveCall) -> None:
        """Wake up shortly before the booked time is over."""
        if self._ledger.is_limited(live.call.call_id):
            self._wake_at(live, self._ledger.booked_s(live.call.call_id) - AHEAD_S, self._book)

    def _wake_at(self, live: LiveCall, talked_s: float, then: Callable[[LiveCall], None]) -> None:
        begun = live.metered_since or 0.0
        delay = max(0.0, begun + talked_s - self._clock.monotonic())
        live.meter_timer = asyncio.get_running_loop().call_later(delay, then, live)

    def _book(self, live: LiveCall) -> None:
        """The next slice; without one the call ends when the last one does."""
        call_id, today = live.call.call_id, self._today()
        if live.call.ended or self._outlets is None:
            return
        bookings = self._ledger.go_on(call_id, day=today)
        self._write(live, bookings)
        talked_s = self._clock.monotonic() - (live.metered_since or 0.0)
        if (left := self._ledger.warn(call_id, day=today, talked_s=talked_s)) is not None:
            self._outlets.warn(live, limits.warning(left.span, left.seconds))
        if bookings:
            self._plan_next(live)
        else:
            self._wake_at(live, self._ledger.booked_s(call_id) - EARLY_S, self._end)

    def _end(self, live: LiveCall) -> None:
        left = self._ledger.left(live.call.call_id, day=self._today())
        if self._outlets is not None and not live.call.ended:
            verdict = limits.spent(left.span) if left is not None else limits.LIMIT_REACHED
            self._outlets.feed(live, ev.Aborted(verdict=verdict))

    def _write(self, live: LiveCall, bookings: Sequence[Booking]) -> None:
        """Each booking, and with it how far this call is paid once it is answered."""
        booked, since, meter = self._ledger.booked(live.call.call_id), live.metered_since, None
        if booked is not None and since is not None:
            meter = StoredMeter(
                call_id=live.call.call_id,
                since=self._clock.wall() - (self._clock.monotonic() - since),
                seconds=booked.seconds,
                cost=booked.cost,
            )
        self.cash_book.note(bookings, meter, live.matrix_lane)

    def _today(self) -> date:
        return self.cash_book.today()


def _was_let_run_out(call: Call) -> bool:
    """Whether it has rung no longer than a call that is let go: a client says itself how long its invite is good."""
    if call.verdict is not outcomes.NO_ANSWER or call.ended_by is not EndedBy.BRIDGE:
        return False
    return call.at.ringing is not None and call.at.ended is not None and call.at.ended - call.at.ringing < SHORT_CALL_S
