"""The two client machines: we sent the request (RFC 3261 §17.1, RFC 6026 §8.4)."""

from collections.abc import Mapping

from bridge.sip.requests import ack_for_failure
from bridge.sip.transaction import (
    Event,
    FailureReceived,
    LingeringEnded,
    Outputs,
    ProvisionalReceived,
    RetransmissionDue,
    SendMessage,
    SetTimer,
    State,
    SuccessReceived,
    TimedOut,
    TimerName,
    Transaction,
    Transitions,
    TransportFailed,
    step,
    tell,
)


class ClientTransaction(Transaction):
    """We sent the request (RFC 3261 §17.1)."""

    __slots__ = ()

    def start(self, outputs: Outputs) -> None:
        """Send the request for the first time (§17.1.1.2, §17.1.2.2)."""
        retransmit, timeout = (TimerName.A, TimerName.B) if self.is_invite else (TimerName.E, TimerName.F)
        outputs.append(SetTimer(timer=timeout, after_s=self.timing.timeout_s))
        if not self.reliable:
            outputs.append(SetTimer(timer=retransmit, after_s=self.interval_s))
        outputs.append(SendMessage(message=self.request))

    @property
    def living_timers(self) -> frozenset[TimerName]:
        """Which timers may run in this state: entering it stops all others."""
        return TIMERS.get(self.state, frozenset())

    def handle(self, event: Event, outputs: Outputs) -> bool:
        """Take one step; false when the table has no such step."""
        table = INVITE_CLIENT if self.is_invite else NON_INVITE_CLIENT
        return step(self, table, event, outputs)


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


INVITE_CLIENT: Transitions[ClientTransaction] = {
    (State.CALLING, RetransmissionDue): (State.CALLING, (_resend_request, _double_interval)),
    (State.CALLING, TimedOut): (State.TERMINATED, (tell,)),
    (State.CALLING, TransportFailed): (State.TERMINATED, (tell,)),
    (State.CALLING, ProvisionalReceived): (State.PROCEEDING, (tell,)),
    (State.CALLING, SuccessReceived): (State.ACCEPTED, (_start_m, tell)),
    (State.CALLING, FailureReceived): (State.COMPLETED, (_acknowledge, _start_d, tell)),
    (State.PROCEEDING, ProvisionalReceived): (State.PROCEEDING, (tell,)),
    (State.PROCEEDING, SuccessReceived): (State.ACCEPTED, (_start_m, tell)),
    (State.PROCEEDING, FailureReceived): (State.COMPLETED, (_acknowledge, _start_d, tell)),
    (State.PROCEEDING, TransportFailed): (State.PROCEEDING, ()),
    (State.COMPLETED, FailureReceived): (State.COMPLETED, (_acknowledge,)),
    (State.COMPLETED, ProvisionalReceived): (State.COMPLETED, ()),
    (State.COMPLETED, TransportFailed): (State.TERMINATED, ()),
    (State.COMPLETED, LingeringEnded): (State.TERMINATED, ()),
    (State.ACCEPTED, SuccessReceived): (State.ACCEPTED, (tell,)),
    (State.ACCEPTED, ProvisionalReceived): (State.ACCEPTED, ()),
    (State.ACCEPTED, TransportFailed): (State.ACCEPTED, ()),
    (State.ACCEPTED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 5 as changed by RFC 6026 figure 1. Provisional responses that come late are swallowed.

A peer that has answered may close the connection, and bring its final response by one of its own (§18.2.2).
"""

NON_INVITE_CLIENT: Transitions[ClientTransaction] = {
    (State.TRYING, RetransmissionDue): (State.TRYING, (_resend_request, _grow_interval)),
    (State.TRYING, TimedOut): (State.TERMINATED, (tell,)),
    (State.TRYING, TransportFailed): (State.TERMINATED, (tell,)),
    (State.TRYING, ProvisionalReceived): (State.PROCEEDING, (tell,)),
    (State.TRYING, SuccessReceived): (State.COMPLETED, (_start_k, tell)),
    (State.TRYING, FailureReceived): (State.COMPLETED, (_start_k, tell)),
    (State.PROCEEDING, RetransmissionDue): (State.PROCEEDING, (_resend_request, _slow_interval)),
    (State.PROCEEDING, TimedOut): (State.TERMINATED, (tell,)),
    (State.PROCEEDING, TransportFailed): (State.TERMINATED, (tell,)),
    (State.PROCEEDING, ProvisionalReceived): (State.PROCEEDING, (tell,)),
    (State.PROCEEDING, SuccessReceived): (State.COMPLETED, (_start_k, tell)),
    (State.PROCEEDING, FailureReceived): (State.COMPLETED, (_start_k, tell)),
    (State.COMPLETED, ProvisionalReceived): (State.COMPLETED, ()),
    (State.COMPLETED, SuccessReceived): (State.COMPLETED, ()),
    (State.COMPLETED, FailureReceived): (State.COMPLETED, ()),
    (State.COMPLETED, TransportFailed): (State.COMPLETED, ()),
    (State.COMPLETED, LingeringEnded): (State.TERMINATED, ()),
}
"""RFC 3261 figure 6."""

TIMERS: Mapping[State, frozenset[TimerName]] = {
    State.CALLING: frozenset((TimerName.A, TimerName.B)),
    State.TRYING: frozenset((TimerName.E, TimerName.F)),
    State.PROCEEDING: frozenset((TimerName.E, TimerName.F)),
    State.COMPLETED: frozenset((TimerName.D, TimerName.K)),
    State.ACCEPTED: frozenset((TimerName.M,)),
}
"""Which timers live in a state."""
