"""What calls have cost so far, and whether they may go on. Pure: the day and the moment are arguments.

Every call is booked ahead, in slices of at most ten seconds and never beyond a cap, and its first slice is held before
it is dialled; so neither many calls at once nor a crash can spend more than the caps allow. A trunk's charging step
that has begun is booked as a whole.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from bridge.core.ids import CallId, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.accounts import Accounts, Booking, Use
from bridge.numbers.limits import CALLS_AT_ONCE, NO_PRICE, TOO_MANY_ATTEMPTS, Cap, Limit, Span, spent
from bridge.numbers.money import Dearest, Price, Pricing

SLICE_S = 10.0
MIN_SLICE_S = 1.0
"""Less than this is not worth a call."""
MINUTE_S = 60.0
MAX_ACCOUNTS = 50_000
"""Users whose last attempts are remembered."""


@dataclass(slots=True, kw_only=True)
class Running:
    """A call that is dialled or up."""

    user: UserId
    prices: tuple[Price, ...]
    limits: tuple[Limit, ...]
    booked: bool
    """Whether it is booked, since a limit speaks of its user, or has."""
    price: Pricing
    """Of the trunk that carries it; until that is known, of the most expensive one."""
    seconds: float = 0.0
    cost: int = 0
    held_on: date | None
    """When the first slice was held; `None` once somebody has answered and it is charged."""
    base_s: float = 0.0
    base_cost: int = 0
    """What was booked before the present price."""
    warned: bool = False

    @property
    def trunks(self) -> tuple[TrunkName, ...]:
        """Over which the call can go, where its price must be known; nothing where any will do."""
        return tuple(price.trunk for price in self.prices) if any(limit.counts_money for limit in self.limits) else ()

    def cost_until(self, seconds: float) -> int:
        """What the call costs if it is over by then."""
        return self.base_cost + self.price.until(max(0.0, seconds - self.base_s))

    def seconds_for(self, amount: int) -> float:
        """How long it can be for an amount."""
        return self.base_s + self.price.seconds_for(max(0, amount - self.base_cost))


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How long a call can go on beyond what is booked, and what stops it then."""

    seconds: float
    span: Span


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The books. `limits` may be empty; then calls are only added up."""

    limits: tuple[Limit, ...] = ()
    warn_s: float = 60.0
    """How long before its end a call is warned; 0 does not."""
    accounts: Accounts = field(default_factory=Accounts)
    _running: dict[CallId, Running] = field(default_factory=dict)
    _attempts: dict[str, deque[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.follow(self.limits)

    def follow(self, limits: tuple[Limit, ...]) -> None:
        """Go by these limits from now on; each call that is up has to be renewed then."""
        self.limits = limits
        self.accounts.follow(limits)

    def _of(self, user: UserId) -> tuple[Limit, ...]:
        return tuple(limit for limit in self.limits if limit.covers(user))

    def load(self, bookings: Iterable[Booking]) -> None:
        """Take over what an earlier process has booked."""
        for booking in bookings:
            self.accounts.add(booking)

    # Before a call.

    def admit(
        self, call_id: CallId, user: UserId, prices: Sequence[Price | None], *, day: date, now: float
    ) -> tuple[TrunkName, ...] | Verdict:
        """Hold what the first moments of a call may cost; gives the trunks that it can go over.

        `prices` are those of its trunks, `None` where nobody knows: over such a trunk no limit of money could be kept.
        """
        judged = self.judge(user, prices, day=day, now=now)
        if judged is not TOO_MANY_ATTEMPTS:
            self._note_attempt(user, now)
        if isinstance(judged, Verdict):
            return judged
        left = self._left(judged, day)
        self._running[call_id] = judged
        self._book(judged, SLICE_S if left is None else min(SLICE_S, left.seconds), day)
        return judged.trunks

    def judge(self, user: UserId, prices: Sequence[Price | None], *, day: date, now: float) -> Running | Verdict:
        """What becomes of a call, and of one that is only asked about: nothing is held, and nothing counted."""
        limits = self._of(user)
        if (verdict := self._too_often(user, limits, now) or self._too_many(user, limits)) is not None:
            return verdict
        known = tuple(price for price in prices if price is not None)
        if not known and self.counts_money(user):
            return NO_PRICE
        call = Running(
            user=user, prices=known, limits=limits, booked=bool(limits), price=Dearest(prices=known), held_on=day
        )
        left = self._left(call, day)
        return spent(left.span) if left is not None and left.seconds < MIN_SLICE_S else call

    def counts_money(self, user: UserId) -> bool:
        """Whether a user's calls can only be made where their price is known."""
        return any(limit.counts_money for limit in self._of(user))

    def _too_often(self, user: UserId, limits: Sequence[Limit], now: float) -> Verdict | None:
        for limit in limits:
            attempts = self._attempts.get(limit.account(user), ())
            recent = sum(at > now - MINUTE_S for at in attempts)
            if limit.attempts_per_minute is not None and recent >= limit.attempts_per_minute:
                return TOO_MANY_ATTEMPTS
        return None

    def _note_attempt(self, user: UserId, now: float) -> None:
        """Whatever becomes of it, but for one that was refused because there were too many."""
        limits = (limit for limit in self._of(user) if limit.attempts_per_minute is not None)
        for account in {limit.account(user) for limit in limits}:
            self._recent(account, now).append(now)

    def _recent(self, account: str, now: float) -> deque[float]:
        """Whoever has been quiet for the longest is forgotten first."""
        attempts = self._attempts.pop(account, deque[float]())
        self._attempts[account] = attempts
        while attempts and attempts[0] <= now - MINUTE_S:
            attempts.popleft()
        while len(self._attempts) > MAX_ACCOUNTS:
            del self._attempts[next(iter(self._attempts))]
        return attempts

    def _too_many(self, user: UserId, limits: Sequence[Limit]) -> Verdict | None:
        for limit in limits:
            own = (call for call in self._running.values() if limit.covers(call.user))
            at_once = sum(limit.account(call.user) == limit.account(user) for call in own)
            if limit.calls_at_once is not None and at_once >= limit.calls_at_once:
                return CALLS_AT_ONCE
        return None

    # During a call.

    def answered(self, call_id: CallId, trunk: TrunkName, *, day: date) -> list[Booking]:
        """What was held becomes what is charged, at the price of the trunk that carries the call."""
        call = self._running.get(call_id)
        if call is None or call.held_on is None:
            return []
        seconds = call.seconds
        self._release(call, call.held_on)
        call.held_on = None
        call.price = next((price for price in call.prices if price.trunk == trunk), call.price)
        return self._book(call, seconds, day)

    def go_on(self, call_id: CallId, *, day: date) -> list[Booking]:
        """Book the next slice, as long as the caps allow; nothing when they allow none."""
        call = self._running.get(call_id)
        if call is None or call.held_on is not None:
            return []
        left = self._left(call, day)
        seconds = SLICE_S if left is None else min(SLICE_S, left.seconds)
        return self._book(call, seconds, day) if seconds >= MIN_SLICE_S else []

    def booked(self, call_id: CallId) -> Use | None:
        """What is booked of a call so far."""
        call = self._running.get(call_id)
        return None if call is None else Use(seconds=call.seconds, cost=call.cost)

    def booked_s(self, call_id: CallId) -> float:
        """Until when a call is paid for, in seconds from its answer."""
        call = self._running.get(call_id)
        return 0.0 if call is None else call.seconds

    def left(self, call_id: CallId, *, day: date) -> Left | None:
        """How long a call can go on beyond that; `None` without a limit."""
        call = self._running.get(call_id)
        return None if call is None else self._left(call, day)

    def warn(self, call_id: CallId, *, day: date, talked_s: float) -> Left | None:
        """What is left from now on, once, when it is not much any more."""
        call = self._running.get(call_id)
        left = None if call is None else self._left(call, day)
        if call is None or left is None or call.warned:
            return None
        seconds = call.seconds + left.seconds - talked_s
        if seconds > self.warn_s:
            return None
        call.warned = True
        return Left(seconds=seconds, span=left.span)

    def renew(self, call_id: CallId, *, day: date, talked_s: float) -> list[Booking]:
        """Put a call under `limits` after these have changed, with all that it has used; gives what is new.

        One that no limit speaks of any more goes on being booked: what was held has to be released.
        """
        call = self._running.get(call_id)
        if call is None:
            return []
        call.limits = self._of(call.user)
        if call.booked or not call.limits:
            return []
        if call.held_on is None and talked_s > call.seconds:
            call.seconds, call.cost = talked_s, call.cost_until(talked_s)
        call.booked = True
        booking = Booking(account=call.user, day=call.held_on or day, seconds=call.seconds, cost=call.cost)
        self.accounts.add(booking)
        return [booking] if call.held_on is None else []

    def moved(self, call_id: CallId, price: Price) -> None:
        """The call is with somebody else from here on, who costs something else."""
        call = self._running.get(call_id)
        if call is not None:
            call.price, call.base_s, call.base_cost = price, call.seconds, call.cost

    def finish(self, call_id: CallId, *, talked_s: float = 0.0) -> int:
        """The call is over; gives what it has cost. What was held for one that nobody answered is free again."""
        call = self._running.pop(call_id, None)
        if call is None:
            return 0
        if call.held_on is not None:
            self._release(call, call.held_on)
            return 0
        return call.cost_until(talked_s)

    def release(self, call_id: CallId) -> None:
        """Forget a call that was admitted and never answered."""
        call = self._running.get(call_id)
        if call is not None and call.held_on is not None:
            self.finish(call_id)

    def is_limited(self, call_id: CallId) -> bool:
        """Whether any limit may end a call."""
        call = self._running.get(call_id)
        return call is not None and bool(call.limits)

    def knows(self, call_id: CallId) -> bool:
        """Whether a call was admitted and is not over."""
        return call_id in self._running

    def charge(self, user: UserId, cost: int | None, *, seconds: float = 0.0, day: date) -> list[Booking] | None:
        """Book what is not metered: a text message, or a call that a trunk makes by itself.

        `None` when a limit leaves no room, or nobody knows what it costs.
        """
        for account, span, cap in self.caps(user):
            used = Use() if span is Span.CALL else self.accounts.used(account, span, day)
            if cap.cost is not None and (cost is None or used.cost + cost > cap.cost):
                return None
            if cap.seconds is not None and seconds and used.seconds + seconds > cap.seconds:
                return None
        return self.add(user, seconds=seconds, cost=cost or 0, day=day)

    def add(self, user: UserId, *, seconds: float, cost: int, day: date) -> list[Booking]:
        """Book what has been used, whatever the limits say."""
        if not self._of(user):
            return []
        booking = Booking(account=user, day=day, seconds=seconds, cost=cost)
        self.accounts.add(booking)
        return [booking]

    def caps(self, user: UserId) -> list[tuple[str, Span, Cap]]:
        """All that limits a user's minutes or money, with the account that each adds up."""
        return [(limit.account(user), span, cap) for limit in self._of(user) for span, cap in limit.caps()]

    # The books.

    def _left(self, call: Running, day: date) -> Left | None:
        """The tightest of all caps."""
        lefts = []
        for limit in call.limits:
            for span, cap in limit.caps():
                own = Use(seconds=call.seconds, cost=call.cost)
                used = own if span is Span.CALL else self.accounts.used(limit.account(call.user), span, day)
                lefts.append(Left(seconds=_seconds_left(call, cap, used), span=span))
        return min(lefts, key=lambda left: left.seconds, default=None)

    def _book(self, call: Running, seconds: float, day: date) -> list[Booking]:
        cost = max(0, call.cost_until(call.seconds + seconds) - call.cost)
        call.seconds, call.cost = call.seconds + seconds, call.cost + cost
        if not call.booked:
            return []
        booking = Booking(account=call.user, day=day, seconds=seconds, cost=cost)
        self.accounts.add(booking)
        return [booking]

    def _release(self, call: Running, day: date) -> None:
        if call.booked:
            self.accounts.add(Booking(account=call.user, day=day, seconds=-call.seconds, cost=-call.cost))
        call.seconds, call.cost = 0.0, 0


def _seconds_left(call: Running, cap: Cap, used: Use) -> float:
    """What one cap leaves to a call beyond what is booked for it, paid steps included."""
    seconds = float("inf") if cap.seconds is None else cap.seconds - used.seconds
    if cap.cost is not None:
        affordable = call.cost + cap.cost - used.cost
        seconds = min(seconds, call.seconds_for(affordable) - call.seconds)
    return max(0.0, seconds)
