"""How things stand with whoever would call: what they have set and used, and what an operator has decided."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from bridge.core.ids import TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.accounts import Use
from bridge.numbers.ledger import Ledger
from bridge.numbers.limits import SUSPENDED, Limit, Span
from bridge.numbers.policy import Decision, IsUp, NumberPlan

Narrow = Callable[[Decision], Decision | Verdict]
"""What is left of a call's ways beside those that an operator has taken out of service."""


def any_trunk(trunk: TrunkName) -> bool:
    """As far as nobody knows of one that it is not in service."""
    return True


def all_ways(decision: Decision) -> Decision:
    """The same of those that an operator could have taken out."""
    return decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """At one moment."""

    ledger: Ledger
    day: date
    now: float = 0.0
    """By the clock of the attempts in the ledger."""
    withheld: bool | None = None
    """Whether the user's number is kept from those who are called; `None` leaves it to the configuration."""
    suspended_until: float | None = None
    """In seconds since 1970, where the user may not call out."""
    is_up: IsUp = any_trunk
    narrow: Narrow = all_ways

    def judge(self, plan: NumberPlan, user: UserId, decision: Decision) -> Decision | Verdict:
        """What a permitted call would be told now."""
        narrowed = self.narrow(decision)
        if isinstance(narrowed, Verdict) or narrowed.is_emergency:
            return narrowed
        if self.suspended_until is not None:
            return SUSPENDED
        judged = self.ledger.judge(user, plan.prices_of(narrowed), day=self.day, now=self.now)
        return judged if isinstance(judged, Verdict) else narrowed.over(judged.trunks)

    def used(self, limit: Limit, span: Span, user: UserId) -> Use:
        """What is used of a limit up to now; nothing of that of a single call."""
        return Use() if span is Span.CALL else self.ledger.accounts.used(limit.account(user), span, self.day)
