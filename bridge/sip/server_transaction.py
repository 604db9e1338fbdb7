"""The two server machines: the peer sent the request (RFC 3261 §17.2, RFC 6026 §8.3)."""

from collections.abc import Mapping

from bridge.sip.transaction import (
    AckReceived,
    Event,
    FailureSent,
    LingeringEnded,
    Outputs,
    ProvisionalSent,
    RequestReceived,
    RetransmissionDue,
    SendMessage,
    SetTimer,
    State,
    SuccessSent,
    TimedOut,
    TimerName,
    Transaction,
    Transitions,
    step,
    tell,
)


class ServerTransaction(Transaction):
    """The peer sent the request (RFC 3261 §17.2)."""

    __slots__ = ()

    def settle(self) -> None:
        """Keep only what absorbs retransmissions: thousands of these linger for half a minute each."""
        self.request = self.request.outline()
        if self.last_response is not None:
            self.last_response = bytes(self.last_response)

    @property
    def living_timers(self) -> frozenset[TimerName]:
        """Which timers may run in this state: entering it stops all others."""
        return TIMERS.get(self.state, frozenset())

    def handle(self, event: Event, outputs: Outputs) -> bool:
        """Take one step; false when the table has no such step."""
        table = INVITE_SERVER if self.is_invite else NON_INVITE_SERVER
        return step(self, table, event, outputs)


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
    (State.ACCEPTED, AckReceived): (State.ACCEPTED, (tell,)),
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

TIMERS: Mapping[State, frozenset[TimerName]] = {
    State.COMPLETED: frozenset((TimerName.G, TimerName.H, TimerName.J)),
    State.CONFIRMED: frozenset((TimerName.I,)),
    State.ACCEPTED: frozenset((TimerName.L,)),
}
"""Which timers live in a state."""
