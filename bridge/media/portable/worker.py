"""A process that carries packets: `python -m bridge.media.portable CONTROL WAKE`, two inherited descriptors.

It has no event loop and no other thread, so nothing but packets is between a packet that comes and the one that goes.
The same in Rust: `bridge/media/native/src/worker.rs`.
"""

import gc
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recvfds
from typing import Any

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media.packet_engine import Opening
from bridge.media.portable.call import Around, PortableCall, Readable
from bridge.media.portable.mailbox import Mailbox
from bridge.media.portable.process import IGNORED
from bridge.media.portable.shared_sound import SharedSound
from bridge.media.portable.tally import Tally

_TURNS = 4
"""Calls are served in turns, so that not all of them encode at the same moment."""
_TURN_S = 0.020 / _TURNS
_LOOK_AFTER_EVERY = 12
"""Ticks of a call between two looks at its reports."""
_EVENTS = 64
_MOST_TRACES = 5
OF_A_CALL = frozenset(
    {
        "configure",
        "let_through",
        "direct",
        "expect_new_phone",
        "expect_new_source",
        "press",
        "hand_to",
        "hear",
        "attach",
        "add_socket",
        "remove_socket",
        "follow",
        "bind",
        "play",
        "listen",
        "say_goodbye",
        "tap",
        "tapped",
    }
)
"""What a call may be asked from outside."""


def next_turn(due: float, now: float) -> float:
    """When it is the next ones' turn: what was held up is made up for, or every delay would slow the calls' clock down.

    After a stop of the machine nobody is served more than once.
    """
    return max(due + _TURN_S, now - (_TURNS - 2) * _TURN_S)


class Worker:
    """The calls of one process."""

    def __init__(self, control: socket.socket, wake: int) -> None:
        self._clock = SystemClock()
        self._control = control
        self._connection = Connection(control.detach())
        self._poll = select.epoll()
        self._poll.register(self._connection.fileno(), select.EPOLLIN)
        self._handlers: dict[int, Readable] = {self._connection.fileno(): self._obey}
        self._calls: dict[int, PortableCall] = {}
        self._faults = 0
        self._traces: list[str] = []
        self._running = True
        self._mailbox, self._tally = Mailbox(wake), Tally()
        self._around = Around(
            clock=self._clock,
            entropy=SystemEntropy(),
            telemetry=self._tally,
            mailbox=self._mailbox,
            watch=self._watch,
            unwatch=self._unwatch,
            sounds={},
        )

    def _watch(self, bound: socket.socket, readable: Readable) -> None:
        self._handlers[bound.fileno()] = readable
        self._poll.register(bound, select.EPOLLIN)

    def _unwatch(self, bound: socket.socket) -> None:
        if self._handlers.pop(bound.fileno(), None) is not None:
            self._poll.unregister(bound)

    def serve(self) -> None:
        """Until the engine has gone."""
        self._connection.send(True)
        turn, due = 0, self._clock.monotonic()
        while self._running:
            now = self._clock.monotonic()
            if now >= due:
                turn += 1
                due = next_turn(due, now)
                self._take_turn(turn, now)
            events = self._poll.poll(max(due - self._clock.monotonic(), 0.0) if self._calls else None, _EVENTS)
            now = self._clock.monotonic()
            for descriptor, _ in events:
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    self._guarded(handler, now)

    def _take_turn(self, turn: int, now: float) -> None:
        look_after = turn // _TURNS % _LOOK_AFTER_EVERY == 0
        for number, call in self._calls.items():
            if number % _TURNS == turn % _TURNS:
                self._guarded(call.tick, now)
                if look_after:
                    self._guarded(call.report, now)

    def _guarded(self, work: Callable[[float], None], now: float) -> None:
        """A fault in one call is not the others' fault."""
        try:
            work(now)
        except Exception:
            self._faults += 1
            if len(self._traces) < _MOST_TRACES:
                self._traces.append(traceback.format_exc())

    # Commands

    def _obey(self, now: float) -> None:
        """Do what the engine asks for, and answer."""
        try:
            method, number, descriptors, arguments, named = self._connection.recv()
            if descriptors:
                arguments = (*arguments, *self._descriptors(descriptors))
        except (EOFError, OSError):
            self._running = False
            return
        try:
            answer = True, self._do(method, number, arguments, named)
        except Exception:
            answer = False, traceback.format_exc()
        self._connection.send(answer)

    def _descriptors(self, count: int) -> list[int]:
        with socket.socket(fileno=self._connection.fileno()) as carrier:
            try:
                return recvfds(carrier, count)
            finally:
                carrier.detach()

    def _do(self, method: str, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if method in OF_A_CALL:
            return getattr(self._calls[number], method)(*arguments, **named)
        match method:
            case "open":
                return self._open(number, *arguments)
            case "close":
                last = self._calls[number].close()
                del self._calls[number]
                return last
            case "take_sound":
                self._around.sounds[number] = SharedSound(*arguments)
                return None
            case "drop_sound":
                self._around.sounds.pop(number, None)
                return None
            case "collect":
                return self._mailbox.empty()
            case "look_after":
                return self._look_after()
            case _:
                raise ValueError(method)

    def _open(self, number: int, opening: Opening, rtp: int, rtcp: int) -> None:
        self._calls[number] = PortableCall(number, opening, (rtp, rtcp), self._around)

    def _look_after(self) -> Any:
        """What was counted, how many faults there were and what the first ones said, and the numbers of each call."""
        faults, self._faults = self._faults, 0
        traces, self._traces = self._traces, []
        return self._tally.take(), faults, traces, {number: call.stats() for number, call in self._calls.items()}


def main() -> None:
    """Serve; the engine says when it is over by closing its end, whatever the terminal or systemd tells the group."""
    for ignored in IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    worker = Worker(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    gc.collect()
    gc.freeze()
    worker.serve()
