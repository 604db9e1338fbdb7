"""Writes down what the ledger books, and learns it again after a restart.

Of each call that is paid for the next process finds since when, and until when it was paid. What went on between a
crash and the restart, which hangs up, is booked then: the trunk has charged for it as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from bridge.app.lane import Lane
from bridge.calls.call import Call
from bridge.calls.state import Direction
from bridge.core.clock import Clock, local_day
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.numbers.accounts import Booking, Use
from bridge.numbers.ledger import Ledger
from bridge.numbers.limits import Span
from bridge.numbers.policy import NumberPlan
from bridge.store import Store, StoreError
from bridge.store.spending import StoredMeter, StoredUse

log = structlog.get_logger(__name__)

PRUNE_INTERVAL_S = 3_600.0
UNSEEN_S = 1_800.0
"""So long a call may have gone on without us, at most: a trunk that keeps session timers (RFC 4028) ends it by itself,
after half an hour unless it is set otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is booked on one account."""

    account: str
    day: Use
    month: Use


class CashBook:
    """The ledger on disk. Days begin at midnight of this machine."""

    def __init__(
        self,
        ledger: Ledger,
        plan: Callable[[], NumberPlan],
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._ledger = ledger
        self._plan = plan
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._lane = Lane()
        """For what belongs to no live call."""
        self._left_over: dict[CallId, int] = {}

    def today(self) -> date:
        return local_day(self._clock)

    async def load(self) -> None:
        """Read the books of this month."""
        uses = await self._store.spending.since(self.today().replace(day=1).isoformat())
        self._ledger.load(map(booking_of, uses))

    async def settle(self, left_over: Sequence[Call]) -> None:
        """Book what calls of the last process have cost since it died. They are hung up on next."""
        meters, now = await self._store.spending.meters(), self._clock.wall()
        for call in left_over:
            meter = meters.get(call.call_id)
            if meter is not None:
                await self._settle(call, meter, min(now - meter.since, meter.seconds + UNSEEN_S))
        await self._store.spending.forget_meters()

    async def _settle(self, call: Call, meter: StoredMeter, talked_s: float) -> None:
        price = self._plan().price_over(call.trunk, paid_number(call))
        more_s = max(0.0, talked_s - meter.seconds)
        more = 0 if price is None else price.until(meter.seconds + more_s) - price.until(meter.seconds)
        log.info("crashed_call_booked", call_id=call.call_id, seconds=round(more_s, 1))
        bookings = self._ledger.add(call.matrix.user, seconds=more_s, cost=more, day=self.today())
        await self.guarded(self._store.spending.add(_uses(bookings)))
        self._left_over[call.call_id] = meter.cost + more

    def cost_of_left_over(self, call_id: CallId) -> int | None:
        """What a call of the last process has cost, once; `None` for any other."""
        return self._left_over.pop(call_id, None)

    async def keep_short(self) -> None:
        """Forget what is too old, for as long as this runs."""
        while True:
            try:
                await self.forget_old()
            except StoreError as error:
                log.warning("spending_not_pruned", reason=str(error))
            await asyncio.sleep(PRUNE_INTERVAL_S)

    async def forget_old(self) -> None:
        """Let go of days that no limit adds up any more."""
        month = self.today().replace(day=1)
        self._ledger.accounts.forget(before=month)
        await self._store.spending.prune(before=month.isoformat())

    def books(self, *, limit: int) -> list[Books]:
        """What is booked on each account, those with most this month first."""
        books = [self.of(account) for account in self._ledger.accounts.names()]
        used = [book for book in books if book.month.seconds or book.month.cost]
        return sorted(used, key=lambda book: (book.month.cost, book.month.seconds), reverse=True)[:limit]

    def of(self, account: str) -> Books:
        """What is booked on one account."""
        today = self.today()
        return Books(
            account=account,
            day=self._ledger.accounts.used(account, Span.DAY, today),
            month=self._ledger.accounts.used(account, Span.MONTH, today),
        )

    # Writing

    def note(self, bookings: Sequence[Booking], meter: StoredMeter | None = None, lane: Lane | None = None) -> None:
        """Write bookings, and how far the call is paid that they are for, in that call's own order."""
        if bookings:
            (lane or self._lane).submit(lambda: self.guarded(self._store.spending.add(_uses(bookings), meter)))

    def forget(self, call_id: CallId, lane: Lane) -> None:
        """A call that was paid for is over."""
        lane.submit(lambda: self.guarded(self._store.spending.forget_meter(call_id)))

    async def write(self, bookings: Sequence[Booking]) -> None:
        """The same as `note`, waited for."""
        await self.guarded(self._store.spending.add(_uses(bookings)))

    async def drain(self) -> None:
        """Wait until all is written."""
        await self._lane.drain()

    async def guarded(self, work: Awaitable[None]) -> None:
        """A store in trouble costs the memory of what was booked, never the call; memory still holds the limit."""
        try:
            await work
        except Exception:
            log.exception("spending_not_written")
            self._telemetry.count("internal_errors_total", component="store")


def _uses(bookings: Sequence[Booking]) -> list[StoredUse]:
    return [StoredUse(account=b.account, day=b.day.isoformat(), seconds=b.seconds, cost=b.cost) for b in bookings]


def booking_of(use: StoredUse) -> Booking:
    """What was written down, as it was booked."""
    return Booking(account=use.account, day=date.fromisoformat(use.day), seconds=use.seconds, cost=use.cost)


def paid_number(call: Call) -> str:
    """Whom the call is with, if that is somebody whom we called: the callee, or who was called to take over."""
    if call.transfers and call.connected_number is not None:
        return call.connected_number
    return call.number if call.direction is Direction.OUTBOUND else ""
