"""What turns the user agent's crank: inputs in, actions carried out, events handed on, one timer for all deadlines."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import assert_never

import structlog

from bridge.core.clock import Clock
from bridge.core.floodgate import Floodgate
from bridge.core.telemetry import Telemetry
from bridge.sip.actions import (
    Action,
    Count,
    DoubtFlow,
    Emit,
    Fault,
    Gauge,
    LookUp,
    Note,
    Observe,
    Ping,
    Send,
    TimeElapsed,
)
from bridge.sip.events import SipEvent
from bridge.sip.inputs import Input
from bridge.sip.io.network import Network
from bridge.sip.user_agent import UserAgent

_log = structlog.get_logger()


class Driver:
    """Runs one user agent on the event loop. Without one, before `start` and after `stop`, inputs are ignored."""

    def __init__(self, *, clock: Clock, telemetry: Telemetry, floodgate: Floodgate) -> None:
        self.core: UserAgent | None = None
        self.settled = asyncio.Event()
        """Set when the user agent has nothing left to wait for."""
        self._clock = clock
        self._telemetry = telemetry
        self._floodgate = floodgate
        self._network: Network | None = None
        self._on_event: Callable[[SipEvent], None] | None = None
        self._inputs: deque[Input] = deque()
        self._events: deque[SipEvent] = deque()
        self._running = self._delivering = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline = 0.0

    def start(self, core: UserAgent, network: Network, on_event: Callable[[SipEvent], None]) -> None:
        """Take inputs from now on."""
        self.core, self._network, self._on_event = core, network, on_event

    def stop(self) -> None:
        """Forget the user agent; events that wait can still be delivered."""
        if self.core is not None:
            self.core.close()
        self.core = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Inputs.

    def run(self, event: Input) -> None:
        """Take an input of the network's; one that comes up while another is worked on is told with that one."""
        running = self._running
        self.process(event)
        if not running:
            self.deliver()

    def command(self, command: Input) -> None:
        """Carry out a command now; its events wait until the caller has returned."""
        self.process(command)
        if self._events and not self._delivering:
            asyncio.get_running_loop().call_soon(self.deliver)

    def process(self, event: Input) -> None:
        """One input at a time, and all its actions before the next."""
        self._inputs.append(event)
        if self._running:
            return
        self._running = True
        try:
            while self._inputs:
                self._step(self._inputs.popleft())
        finally:
            self._running = False
        self._plan()

    def _step(self, event: Input) -> None:
        if self.core is None or self._network is None:
            return
        try:
            actions = self.core.handle(event, self._clock.monotonic())
        except Exception as error:  # One message must not end the calls of others.
            self.report("sip_input_failed", error)
            return
        for action in actions:
            try:
                self._perform(action, self._network)
            except Exception as error:  # What is left to do may be for the calls of others, and so is who asked for it.
                self.report("sip_action_failed", error)

    def _perform(self, action: Action, network: Network) -> None:
        match action:
            case Send():
                network.send(action)
            case Emit(event=event):
                self._events.append(event)
            case Count(name=name, labels=labels):
                self._telemetry.count(name, 1, **labels)
            case Gauge(name=name, value=value, labels=labels, is_moment=is_moment):
                since_1970_s = self._clock.wall() - self._clock.monotonic() if is_moment else 0.0
                self._telemetry.gauge(name, value + since_1970_s, **labels)
            case Observe(name=name, value=value, labels=labels):
                self._telemetry.observe(name, value, **labels)
            case Note(event=name, warning=warning, fields=fields):
                (_log.warning if warning else _log.info)(name, **fields)
            case Fault(event=name, error=error):
                self.report(name, error)
            case LookUp(host=host):
                network.look_up(host)
            case Ping(flow=flow, answered=answered):
                network.ping(flow, answered=answered)
            case DoubtFlow(flow=flow, silent_s=silent_s):
                network.doubt(flow, silent_s)
            case _ as unreachable:
                assert_never(unreachable)

    # Events.

    def deliver(self) -> None:
        """Hand out events in order; what a handler causes comes after it has returned."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._events:
                self._deliver_one(self._events.popleft())
        finally:
            self._delivering = False
        if self.core is not None and self.core.settled:
            self.settled.set()

    def _deliver_one(self, event: SipEvent) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # A fault in one call must not reach the others.
            self.report("sip_event_handler_failed", error)

    def report(self, name: str, error: Exception) -> None:
        """Count a fault of our own, and write it down once in a while."""
        self._telemetry.count("internal_errors_total", component="sip")
        suppressed = self._floodgate.pass_or_count(name)
        if suppressed is not None:
            _log.error(name, error=type(error).__name__, suppressed=suppressed, exc_info=error)

    # Time.

    def _plan(self) -> None:
        """Keep one timer of the loop at the earliest deadline."""
        deadline = self.core.next_deadline() if self.core is not None else None
        if deadline is None or (self._timer is not None and self._timer_deadline <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_deadline = deadline
        delay_s = max(0.0, deadline - self._clock.monotonic())
        # A context of its own: whoever moved the deadline may log a call's id, and the timer serves all calls.
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._elapse, context=Context())

    def _elapse(self) -> None:
        self._timer = None
        self.run(TimeElapsed())
