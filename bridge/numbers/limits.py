"""How much a user may call, as the configuration says; what has been used is in the `ledger`."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.core.ids import UserId
from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.numbers.permission import belongs


class Span(enum.StrEnum):
    """Over what a limit adds up."""

    CALL = "call"
    DAY = "day"
    MONTH = "month"


LIMIT_REACHED = Verdict(
    result=Result.POLICY,
    reason="limit_reached",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="You have reached the limit of your calls to the telephone network.",
)
CALLS_AT_ONCE = Verdict(
    result=Result.POLICY,
    reason="calls_at_once",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.USER_BUSY,
    user_text="You already have as many calls at once as you may. Please end one first.",
)
TOO_MANY_ATTEMPTS = Verdict(
    result=Result.POLICY,
    reason="too_many_attempts",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="You have dialled too often within a minute. Please wait a moment.",
)
NO_PRICE = Verdict(
    result=Result.POLICY,
    reason="no_price",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The price of calls to this number is not known, so they cannot be made within your limit.",
)

SUSPENDED = Verdict(
    result=Result.POLICY,
    reason="suspended",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="Your calls to the telephone network have been suspended, because they look like fraud. "
    "Please ask your administrator.",
)

_SPENT = {
    Span.CALL: "The call was ended because it has reached the limit of a single call.",
    Span.DAY: "You have reached the limit of your calls for today.",
    Span.MONTH: "You have reached the limit of your calls for this month.",
}
_WARNING = {
    Span.CALL: "This call will be ended in about {left}: then it reaches the limit of a single call.",
    Span.DAY: "This call will be ended in about {left}: then you reach the limit of your calls for today.",
    Span.MONTH: "This call will be ended in about {left}: then you reach the limit of your calls for this month.",
}


def spent(span: Span) -> Verdict:
    """What ends a call, or forbids one, that a limit leaves no time for."""
    return replace(LIMIT_REACHED, user_text=_SPENT[span])


def warning(span: Span, left_s: float) -> str:
    """What is said shortly before."""
    seconds, minutes = max(5, round(left_s / 5) * 5), round(left_s / 60)
    left = f"{seconds} seconds" if seconds < 60 else "a minute" if minutes == 1 else f"{minutes} minutes"
    return _WARNING[span].format(left=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A limit over one span; `None` is none."""

    seconds: float | None = None
    cost: int | None = None
    """Millionths."""

    @property
    def is_none(self) -> bool:
        """Whether it limits nothing."""
        return self.seconds is None and self.cost is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Caps for users, or for all users of a server; every entry that speaks of a user counts."""

    who: tuple[str, ...]
    together: bool = False
    """Whether all of them share it; otherwise each has it for themselves."""
    call: Cap = Cap()
    day: Cap = Cap()
    month: Cap = Cap()
    calls_at_once: int | None = None
    attempts_per_minute: int | None = None

    def covers(self, user: UserId) -> bool:
        """Whether this entry speaks of a user."""
        return belongs(user, self.who)

    @property
    def everybody(self) -> str:
        """Under which name adds up what all of them use together (see `accounts`)."""
        return " ".join(sorted(set(self.who)))

    def account(self, user: UserId) -> str:
        """Under which name its use adds up: the user's, or that of all."""
        return self.everybody if self.together else user

    def caps(self) -> Iterator[tuple[Span, Cap]]:
        """Those that limit anything."""
        spans = ((Span.CALL, self.call), (Span.DAY, self.day), (Span.MONTH, self.month))
        return ((span, cap) for span, cap in spans if not cap.is_none)

    @property
    def counts_money(self) -> bool:
        """Whether a price must be known."""
        return any(cap.cost is not None for _, cap in self.caps())
