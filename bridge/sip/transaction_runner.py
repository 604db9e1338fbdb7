"""Runs the machines of transactions: what they want to be sent, timed and told (RFC 3261 §17)."""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.sip.actions import Action, Count, DoubtFlow, Send
from bridge.sip.active_transaction import Active, ActiveClient, ActiveServer
from bridge.sip.message import Request, Response
from bridge.sip.message_counts import retransmission_count
from bridge.sip.timers import TimerHeap
from bridge.sip.transaction import (
    TIMER_EVENTS,
    AckReceived,
    Event,
    FailureReceived,
    Outputs,
    ProvisionalReceived,
    SendMessage,
    SetTimer,
    State,
    SuccessReceived,
    Tell,
    TimedOut,
    TimerName,
    TransportFailed,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransactionTimer:
    """A timer of RFC 3261 §17 is due."""

    active: Active
    name: TimerName


class TransactionRunner:
    """Takes the steps of all transactions. What they want done is appended to `actions`."""

    def __init__(
        self,
        *,
        timers: TimerHeap[object],
        actions: list[Action],
        timeout_s: float,
        on_end: Callable[[Active], None],
    ) -> None:
        self._timers = timers
        self._actions = actions
        self._timeout_s = timeout_s
        self._on_end = on_end

    def start(self, client: ActiveClient, now: float) -> None:
        """Send a request for the first time."""
        outputs: Outputs = []
        client.machine.start(outputs)
        self._carry_out(client, outputs, now)

    def fire(self, timer: TransactionTimer, now: float) -> None:
        """A transaction's deadline has passed."""
        del timer.active.timers[timer.name]
        self.drive(timer.active, TIMER_EVENTS[timer.name], now)

    def drive(self, active: Active, event: Event, now: float) -> None:
        """Take one step; an event that the table does not allow is dropped and counted."""
        outputs: Outputs = []
        if not active.machine.handle(event, outputs):
            self._count_unexpected(active, event)
            return
        self.stop_timers(active, active.machine.living_timers)
        if active.machine.state is State.TERMINATED:
            self._on_end(active)
        self._carry_out(active, outputs, now)

    def _carry_out(self, active: Active, outputs: Outputs, now: float) -> None:
        for output in outputs:
            match output:
                case SendMessage(message=message, again=again):
                    self._send(active, message, again=again)
                case SetTimer(timer=name, after_s=after_s):
                    self._set_timer(active, name, now + after_s)
                case Tell(event=event):
                    self._tell(active, event, now)

    def _send(self, active: Active, message: Request | Response | bytes, *, again: bool) -> None:
        key = active.key if isinstance(active, ActiveClient) else None
        self._actions.append(Send(payload=bytes(message), flow=active.flow, transaction=key))
        if again:
            self._actions.append(retransmission_count(active.request.method, "out"))

    def _set_timer(self, active: Active, name: TimerName, deadline: float) -> None:
        previous = active.timers.get(name)
        if previous is not None:
            self._timers.cancel(previous)
        active.timers[name] = self._timers.schedule(deadline, TransactionTimer(active=active, name=name))

    def stop_timers(self, active: Active, living: frozenset[TimerName] = frozenset()) -> None:
        """Wait no longer for what is not `living`."""
        for name in [name for name in active.timers if name not in living]:
            self._timers.cancel(active.timers.pop(name))

    def _tell(self, active: Active, event: Event, now: float) -> None:
        match active:
            case ActiveClient():
                self._tell_client(active, event, now)
            case ActiveServer(user=user):
                if user is not None and isinstance(event, AckReceived):
                    user.acknowledged(event.request, now)

    def _tell_client(self, client: ActiveClient, event: Event, now: float) -> None:
        match event:
            case ProvisionalReceived(response=response):
                client.user.response_received(client, response, now)
            case SuccessReceived(response=response) | FailureReceived(response=response):
                client.user.response_received(client, response, now)
            case TimedOut():
                if client.flow.reliable:
                    self._actions.append(DoubtFlow(flow=client.flow, silent_s=self._timeout_s))
                client.user.request_failed(client, 408, now)
            case TransportFailed():
                client.user.request_failed(client, 503, now)
            case _:
                raise TypeError(f"no client transaction tells {type(event).__name__}")

    def _count_unexpected(self, active: Active, event: Event) -> None:
        kind = "client" if isinstance(active, ActiveClient) else "server"
        labels = {"machine": f"{kind}_transaction", "event": type(event).__name__}
        self._actions.append(Count(name="sip_unexpected_events_total", labels=labels))
