"""What the four transaction machines of RFC 3261 §17 share: states, timers, events, and how a step is taken.

A machine owns its message, its state and nothing else: it says what to send, what to tell its user, and which timers to
run, by appending to the list that it is handed. Each names the timers that live in a state; entering a state stops all
others, so no timer can fire where the figures of the RFC have none. The tables, with the corrections of RFC 6026, are
in `client_transaction` and `server_transaction`.
"""

import enum
from collections.abc import Callable, Mapping
from typing import TypeVar

from bridge.core.values import record_type
from bridge.sip.message import Request, Response


class State(enum.Enum):
    """States of all four machines, named as in the figures of RFC 3261 and RFC 6026."""

    CALLING = enum.auto()
    TRYING = enum.auto()
    PROCEEDING = enum.auto()
    COMPLETED = enum.auto()
    CONFIRMED = enum.auto()
    ACCEPTED = enum.auto()
    TERMINATED = enum.auto()

    __hash__ = object.__hash__
    """Rows are looked up by it for each message; the one of `Enum` is that of its name."""


class TimerName(enum.Enum):
    """RFC 3261 §17 and Appendix A; L and M are RFC 6026 §8."""

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741 - the RFC's name
    J = "J"
    K = "K"
    L = "L"
    M = "M"

    __hash__ = object.__hash__


@record_type
class Timing:
    """The base values that all timers are multiples of (RFC 3261 §17.1.1.1)."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    @property
    def timeout_s(self) -> float:
        """64*T1: the limit of timers B, F, H, J, L and M."""
        return 64 * self.t1_s


# What happens to a machine.


@record_type
class ProvisionalReceived:
    """1xx to our request."""

    response: Response


@record_type
class SuccessReceived:
    """2xx to our request."""

    response: Response


@record_type
class FailureReceived:
    """300 to 699 to our request."""

    response: Response


@record_type
class RequestReceived:
    """A retransmission of the request that made this server transaction."""

    request: Request


@record_type
class AckReceived:
    """An ACK that matches this INVITE server transaction."""

    request: Request


@record_type
class ProvisionalSent:
    """Our user answers 1xx."""

    response: Response


@record_type
class SuccessSent:
    """Our user answers 2xx."""

    response: Response


@record_type
class FailureSent:
    """Our user answers 300 to 699."""

    response: Response


@record_type
class RetransmissionDue:
    """Timer A, E or G fired."""


@record_type
class TimedOut:
    """Timer B, F or H fired: the peer is silent."""


@record_type
class LingeringEnded:
    """Timer D, I, J, K, L or M fired: nothing that belongs to this transaction is on its way any more."""


@record_type
class TransportFailed:
    """What we sent cannot reach the peer (RFC 3261 §17.1.4, §17.2.4)."""


Event = (
    ProvisionalReceived
    | SuccessReceived
    | FailureReceived
    | RequestReceived
    | AckReceived
    | ProvisionalSent
    | SuccessSent
    | FailureSent
    | RetransmissionDue
    | TimedOut
    | LingeringEnded
    | TransportFailed
)

TIMER_EVENTS: Mapping[TimerName, Event] = {
    **dict.fromkeys((TimerName.A, TimerName.E, TimerName.G), RetransmissionDue()),
    **dict.fromkeys((TimerName.B, TimerName.F, TimerName.H), TimedOut()),
    **dict.fromkeys((TimerName.D, TimerName.I, TimerName.J, TimerName.K, TimerName.L, TimerName.M), LingeringEnded()),
}


# What a machine wants done.


@record_type
class SendMessage:
    """Put the message on the wire; `again` marks a retransmission."""

    message: Request | Response | bytes
    again: bool = False


@record_type
class SetTimer:
    """Run a timer of this transaction, replacing one of the same name."""

    timer: TimerName
    after_s: float


@record_type
class Tell:
    """Pass the event to the transaction's user."""

    event: Event


Output = SendMessage | SetTimer | Tell
Outputs = list[Output]


class Transaction:
    """What the four machines share."""

    __slots__ = ("interval_s", "last_response", "reliable", "request", "state", "timing")

    def __init__(self, request: Request, state: State, *, reliable: bool, timing: Timing) -> None:
        self.request = request
        self.state = state
        self.reliable = reliable
        self.timing = timing
        self.interval_s = timing.t1_s
        self.last_response: Response | bytes | None = None
        """What a retransmitted request gets again."""

    @property
    def is_invite(self) -> bool:
        """Which of the two tables of its side applies."""
        return self.request.method == "INVITE"

    def linger(self, timer: TimerName, unreliable_s: float) -> SetTimer:
        """A timer that absorbs retransmissions: none can come over a reliable transport."""
        return SetTimer(timer=timer, after_s=0.0 if self.reliable else unreliable_s)


AnyTransaction = TypeVar("AnyTransaction", bound=Transaction)
Effect = Callable[[AnyTransaction, Event, Outputs], None]
Transitions = Mapping[tuple[State, type[Event]], tuple[State, tuple[Effect[AnyTransaction], ...]]]


def step(machine: AnyTransaction, table: Transitions[AnyTransaction], event: Event, outputs: Outputs) -> bool:
    """Take the step that a table has for the event; false when it has none."""
    row = table.get((machine.state, type(event)))
    if row is None:
        return False
    machine.state, effects = row
    for effect in effects:
        effect(machine, event, outputs)
    return True


def tell(machine: Transaction, event: Event, outputs: Outputs) -> None:
    """The transaction's user has to know."""
    outputs.append(Tell(event=event))
