"""What the console needs of a running bridge. The application has it; calls and audio are not known here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.core.ids import CallId, TrunkName
from bridge.ops.traces.audio import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCallView:
    """A call that goes on."""

    call_id: CallId
    direction: str
    trunk: str
    state: str
    user: str
    number: str
    """Of the phone; empty when it is withheld."""
    group: str = ""
    """The group that was called."""
    began_at: float
    """Seconds since 1970 UTC."""
    talk_s: float
    sound: Sequence[Interval] = ()
    """The last minutes, the newest last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkView:
    """One way into the telephone network."""

    name: TrunkName
    server: str
    registers: bool
    """Whether it knows us by registration."""
    registered: bool
    answers: bool
    """Whether it answers OPTIONS; assumed until proven otherwise."""
    in_service: bool
    """Whether an operator lets it carry new calls."""
    calls: int

    @property
    def up(self) -> bool:
        """Whether calls through it have a chance."""
        return self.answers and (self.registered or not self.registers)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What has been used of a limit."""

    account: str
    """A user, or several who share a limit."""
    day_minutes: float
    day_cost: int
    """Millionths, as below."""
    month_minutes: float
    month_cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionView:
    """Somebody who may not call out for now."""

    user: str
    until: float


class Desk(Protocol):
    """Everything is quick but `set_in_service`, which waits for the disk."""

    @property
    def currency(self) -> str:
        """Of all costs; may be empty."""
        ...

    @property
    def draining(self) -> bool:
        """Whether no new calls are taken."""
        ...

    @property
    def live_count(self) -> int:
        """How many calls go on."""
        ...

    def live_calls(self) -> Sequence[LiveCallView]:
        """As many of them as anybody reads, the oldest first."""
        ...

    def live_call(self, call_id: CallId) -> LiveCallView | None:
        """Any of them."""
        ...

    def trunks(self) -> Sequence[TrunkView]:
        """In the order of the configuration."""
        ...

    def accounts(self) -> Sequence[AccountView]:
        """Those that have used most this month first."""
        ...

    def suspensions(self) -> Sequence[SuspensionView]: ...

    def end_call(self, call_id: CallId) -> bool:
        """Hang up on both sides; false when there is no such call any more."""
        ...

    async def set_in_service(self, trunk: TrunkName, *, on: bool) -> bool:
        """Let a trunk carry new calls, or not; false when there is no such trunk. Raises `StoreError`."""
        ...
