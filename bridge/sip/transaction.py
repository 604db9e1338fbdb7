"""The four transaction machines of RFC 3261 §17 with the corrections of RFC 6026, as tables.

A machine owns its message, its state and nothing else: it says what to send, what to tell its user, and which timers to
run, by appending to the list that it is handed. `TIMERS_OF` names the timers that live in each state; entering a state
stops all others, so no timer can fire where the figures of the RFC have none.
"""

import enum
from collections.abc import Callable, Mapping
from typing import TypeVar

from bridge.core.values import record_type
from bridge.sip.message import Request, Response
from bridge.sip.requests import ack_for_failure


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

    def linger(self, timer: TimerName, unreliable_s: float) -> SetTimer:
        """A timer that absorbs retransmissions: none can come over a reliable transport."""
        return SetTimer(timer=timer, after_s=0.0 if self.reliable else unreliable_s)


class ClientTransaction(Transaction):
    """We sent the request (RFC 3261 §17.1)."""

    __slots__ = ()

    @property
    def is_invite(self) -> bool:
        """Which of the two client tables applies."""
        return self.request.method == "INVITE"

    def start(self, outputs: Outputs) -> None:
        """Send the request for the first time (§17.1.1.2, §17.1.2.2)."""
        retransmit, timeout = (TimerName.A, TimerName.B) if self.is_invite else (TimerName.E, TimerName.F)
        outputs.append(SetTimer(timer=timeout, after_s=self.timing.timeout_s))
        if not self.reliable:
            outputs.append(SetTimer(timer=retransmit, after_s=self.interval_s))
        outputs.append(SendMessage(message=self.request))

    def handle(self, event: Event, outputs: Outputs) -> bool:
        """Take one step; false when the table has no such step."""
        table = INVITE_CLIENT if self.is_invite else NON_INVITE_CLIENT
        return _step(self, table, event, outputs)


class ServerTransaction(Transaction):
    """The peer sent the request (RFC 3261 §17.2)."""

    __slots__ = ()

    @property
    def is_invite(self) -> bool:
        """Which of the two server tables applies."""
        return self.request.method == "INVITE"

    def settle(self) -> None:
        """Keep only what absorbs retransmissions: thousands of these linger for half a minute each."""
        self.request = self.request.outline()
        if self.last_response is not None:
            self.last_response = bytes(self.last_response)

    def handle(self, event: Event, outputs: Outputs) -> bool:
        """Take one step; false when the table has no such step."""
        table = INVITE_SERVER if self.is_invite else NON_INVITE_SERVER
        return _step(self, table, event, outputs)


AnyTransaction = TypeVar("AnyTransaction", bound=Transaction)
Effect = Callable[[AnyTransaction, Event, Outputs], None]
Transitions = Mapping[tuple[State, type[Event]], tuple[State, tuple[Effect[AnyTransaction], ...]]]


def _step(machine: AnyTransaction, table: Transitions[AnyTransaction], event: Event, outputs: Outputs) -> bool:
    row = table.get((machine.state, type(event)))
    if row is None:
        return False
    machine.state, effects = row
    for effect in effects:
        effect(machine, event, outputs)
    return True


def _tell(machine: Transaction, event: Event, outputs: Outputs) -> None:
    outputs.append(Tell(event=event))


def _double_interval(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """Timer A doubles without limit; timer B ends it (§17.1.1.2)."""
    machine.interval_s *= 2
    outputs.append(SetTimer(timer=TimerName.A, after_s=machine.interval_s))


def _grow_interval(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """Timer E doubles up to T2 (§17.1.2.2)."""
    machine.interval_s = min(machine.interval_s * 2, machine.timing.t2_s)
    outputs.append(SetTimer(timer=TimerName.E, after_s=machine.interval_s))


def _slow_interval(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """After a provisional response, timer E runs at T2 (§17.1.2.2)."""
    machine.interval_s = machine.timing.t2_s
    outputs.append(SetTimer(timer=TimerName.E, after_s=machine.interval_s))


def _resend_request(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    outputs.append(SendMessage(message=machine.request, again=True))


def _acknowledge(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """The ACK for a non-2xx final response belongs to the transaction (§17.1.1.3)."""
    match event:
        case FailureReceived(response=response):
            outputs.append(SendMessage(message=ack_for_failure(machine.request, response)))


def _start_d(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """At least 32 s whatever T1 is, because it mirrors the server's timer H (§17.1.1.2)."""
    outputs.append(machine.linger(TimerName.D, max(32.0, machine.timing.timeout_s)))


def _start_k(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    outputs.append(machine.linger(TimerName.K, machine.timing.t4_s))


def _start_m(machine: ClientTransaction, event: Event, outputs: Outputs) -> None:
    """Over every transport, for more 2xx of a forked INVITE (RFC 6026 §8.4)."""
    outputs.append(SetTimer(timer=TimerName.M, after_s=machine.timing.timeout_s))


def _send_response(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    match event:
        case ProvisionalSent(response=response) | SuccessSent(response=response) | FailureSent(response=response):
            machine.last_response = response
            outputs.append(SendMessage(message=response))


def _resend_response(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    if machine.last_response is not None:
        outputs.append(SendMessage(message=machine.last_response, again=True))


def _start_g(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    """Timer G retransmits the final response over unreliable transports only (§17.2.1)."""
    if not machine.reliable:
        outputs.append(SetTimer(timer=TimerName.G, after_s=machine.interval_s))


def _grow_g(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    machine.interval_s = min(machine.interval_s * 2, machine.timing.t2_s)
    outputs.append(SetTimer(timer=TimerName.G, after_s=machine.interval_s))


def _start_h(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    outputs.append(SetTimer(timer=TimerName.H, after_s=machine.timing.timeout_s))


def _start_i(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    outputs.append(machine.linger(TimerName.I, machine.timing.t4_s))


def _start_j(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    outputs.append(machine.linger(TimerName.J, machine.timing.timeout_s))


def _start_l(machine: ServerTransaction, event: Event, outputs: Outputs) -> None:
    """Over every transport: absorbs retransmitted INVITEs while our user repeats its 2xx (RFC 6026 §8.3)."""
    outputs.append(SetTimer(timer=TimerName.L, after_s=machine.timing.timeout_s))


INVITE_CLIENT: Transitions[ClientTransaction] = {
    (State.CALLING, RetransmissionDue): (State.CALLING, (_resend_request, _double_interval)),
    (State.CALLING, TimedOut): (State.TERMINATED, (_tell,)),
    (State.CALLING, TransportFailed): (State.TERMINATED, (_tell,)),
    (State.CALLING, ProvisionalReceived): (State.PROCEEDING, (_tell,)),
    (State.CALLING, SuccessReceived): (State.ACCEPTED, (_start_m, _tell)),
    (State.CALLING, FailureReceived): (State.COMPLETED, (_acknowledge, _start_d, _tell)),
    (State.PROCEEDING, ProvisionalReceived): (State.PROCEEDING, (_tell,)),
    (State.PROCEEDING, SuccessReceived): (State.ACCEPTED, (_start_m, _tell)),
    (State.PROCEEDING, FailureReceived): (State.COMPLETED, (_acknowledge, _start_d, _tell)),
    (State.COMPLETED, FailureReceived): (State.COMPLETED, (_acknowledge,)),
    (State.COMPLETED, ProvisionalReceived): (State.COMPLETED, ()),
    (State.COMPLETED, TransportFailed): (State.TERMINATED, ()),
    (State.COMPLETED, LingeringEnded): (State.TERMINATED, ()),
    (State.ACCEPTED, SuccessReceived): (State.ACCEPTED, (_tell,)),
    (State.ACCEPTED, ProvisionalReceived): (State.ACCEPTED, ()),
    (State.ACCEPTED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 5 as changed by RFC 6026 figure 1. Provisional responses that come late are swallowed."""

NON_INVITE_CLIENT: Transitions[ClientTransaction] = {
    (State.TRYING, RetransmissionDue): (State.TRYING, (_resend_request, _grow_interval)),
    (State.TRYING, TimedOut): (State.TERMINATED, (_tell,)),
    (State.TRYING, TransportFailed): (State.TERMINATED, (_tell,)),
    (State.TRYING, ProvisionalReceived): (State.PROCEEDING, (_tell,)),
    (State.TRYING, SuccessReceived): (State.COMPLETED, (_start_k, _tell)),
    (State.TRYING, FailureReceived): (State.COMPLETED, (_start_k, _tell)),
    (State.PROCEEDING, RetransmissionDue): (State.PROCEEDING, (_resend_request, _slow_interval)),
    (State.PROCEEDING, TimedOut): (State.TERMINATED, (_tell,)),
    (State.PROCEEDING, TransportFailed): (State.TERMINATED, (_tell,)),
    (State.PROCEEDING, ProvisionalReceived): (State.PROCEEDING, (_tell,)),
    (State.PROCEEDING, SuccessReceived): (State.COMPLETED, (_start_k, _tell)),
    (State.PROCEEDING, FailureReceived): (State.COMPLETED, (_start_k, _tell)),
    (State.COMPLETED, ProvisionalReceived): (State.COMPLETED, ()),
    (State.COMPLETED, SuccessReceived): (State.COMPLETED, ()),
    (State.COMPLETED, FailureReceived): (State.COMPLETED, ()),
    (State.COMPLETED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 6."""

INVITE_SERVER: Transitions[ServerTransaction] = {
    (State.PROCEEDING, RequestReceived): (State.PROCEEDING, (_resend_response,)),
    (State.PROCEEDING, ProvisionalSent): (State.PROCEEDING, (_send_response,)),
    (State.PROCEEDING, SuccessSent): (State.ACCEPTED, (_send_response, _start_l)),
    (State.PROCEEDING, FailureSent): (State.COMPLETED, (_send_response, _start_g, _start_h)),
    (State.COMPLETED, RequestReceived): (State.COMPLETED, (_resend_response,)),
    (State.COMPLETED, RetransmissionDue): (State.COMPLETED, (_resend_response, _grow_g)),
    (State.COMPLETED, AckReceived): (State.CONFIRMED, (_start_i,)),
    (State.COMPLETED, TimedOut): (State.TERMINATED, ()),
    (State.CONFIRMED, AckReceived): (State.CONFIRMED, ()),
    (State.CONFIRMED, RequestReceived): (State.CONFIRMED, ()),
    (State.CONFIRMED, LingeringEnded): (State.TERMINATED, ()),
    (State.ACCEPTED, RequestReceived): (State.ACCEPTED, ()),
    (State.ACCEPTED, AckReceived): (State.ACCEPTED, (_tell,)),
    (State.ACCEPTED, SuccessSent): (State.ACCEPTED, (_send_response,)),
    (State.ACCEPTED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 7 as changed by RFC 6026 figure 3. The user repeats its 2xx through `SuccessSent`."""

NON_INVITE_SERVER: Transitions[ServerTransaction] = {
    (State.TRYING, RequestReceived): (State.TRYING, ()),
    (State.TRYING, ProvisionalSent): (State.PROCEEDING, (_send_response,)),
    (State.TRYING, SuccessSent): (State.COMPLETED, (_send_response, _start_j)),
    (State.TRYING, FailureSent): (State.COMPLETED, (_send_response, _start_j)),
    (State.PROCEEDING, RequestReceived): (State.PROCEEDING, (_resend_response,)),
    (State.PROCEEDING, ProvisionalSent): (State.PROCEEDING, (_send_response,)),
    (State.PROCEEDING, SuccessSent): (State.COMPLETED, (_send_response, _start_j)),
    (State.PROCEEDING, FailureSent): (State.COMPLETED, (_send_response, _start_j)),
    (State.COMPLETED, RequestReceived): (State.COMPLETED, (_resend_response,)),
    (State.COMPLETED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 8."""

TIMERS_OF: Mapping[type[Transaction], Mapping[State, frozenset[TimerName]]] = {
    ClientTransaction: {
        State.CALLING: frozenset((TimerName.A, TimerName.B)),
        State.TRYING: frozenset((TimerName.E, TimerName.F)),
        State.PROCEEDING: frozenset((TimerName.E, TimerName.F)),
        State.COMPLETED: frozenset((TimerName.D, TimerName.K)),
        State.ACCEPTED: frozenset((TimerName.M,)),
    },
    ServerTransaction: {
        State.COMPLETED: frozenset((TimerName.G, TimerName.H, TimerName.J)),
        State.CONFIRMED: frozenset((TimerName.I,)),
        State.ACCEPTED: frozenset((TimerName.L,)),
    },
}
"""Which timers live in a state; all others are stopped when it is entered."""
