"""What is in the file of traces, and what can be asked of it."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from bridge.core.ids import CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """A call in a line of a list. Moments are seconds since 1970 UTC."""

    call_id: CallId
    began_at: float
    ended_at: float | None = None
    """`None` while it goes on."""
    direction: str
    trunk: str = ""
    user: str = ""
    number: str = ""
    """Of the phone; empty when it was withheld."""
    own_number: str = ""
    """That of the user, as the phone was shown it or has dialled it."""
    result: str = ""
    """Of the verdict, as the three below; empty while the call goes on."""
    reason: str = ""
    sip_status: int = 0
    talk_s: float = 0.0
    ended_by: str = ""
    cost: int = 0
    """Millionths, as far as anybody knows it."""

    @property
    def place(self) -> "Place":
        """Where it stands among others; lists begin with the highest."""
        return Place(began_at=self.began_at, call_id=self.call_id)


class Place(NamedTuple):
    """Where a call stands among others; it holds when that call is forgotten, or was never written down."""

    began_at: float
    call_id: CallId
    """Several may have begun at one moment."""

    def __str__(self) -> str:
        return f"{self.began_at!r}:{self.call_id}"

    @classmethod
    def parse(cls, word: str) -> Self:
        """What was written as text. Raises `ValueError`."""
        moment, colon, call_id = word.partition(":")
        began_at = float(moment)
        if not colon or not math.isfinite(began_at):
            raise ValueError(f"no place of a call: {word!r}")
        return cls(began_at=began_at, call_id=CallId(call_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One step in the life of a call."""

    call_id: CallId
    at: float
    """Seconds since 1970 UTC."""
    kind: str
    """`matrix`, `sip`, `media`, `state`, `audio` or `verdict`."""
    way: str = ""
    """`in`, `out`, or empty for what happened inside."""
    title: str
    detail: str = ""
    """The message, or figures as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls are looked for; what is empty does not matter."""

    text: str = ""
    """A part of the user id or of a number, or a call by one of its names."""
    direction: str = ""
    trunk: str = ""
    result: str = ""
    reason: str = ""
    before: Place | None = None
    """That behind which to go on, in the order of the answer."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often calls ended in one way."""

    result: str
    reason: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpend:
    """Calls out over one trunk."""

    trunk: str
    calls: int
    talk_s: float
    cost: int
    """Millionths."""
