"""One worker process, from the engine's side: commands with answers, descriptors, and its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import sendfds
from typing import Any

START_LIMIT_S = 10.0
ANSWER_LIMIT_S = 2.0
_STOP_LIMIT_S = 2.0
IGNORED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
"""Signals for the bridge that a terminal, or systemd, sends to its whole group; the engine says when it is over."""


class WorkerGoneError(OSError):
    """The process has ended, or does not answer."""


class WorkerProcess:
    """A process that is told what to do, one thing at a time, by any thread."""

    def __init__(self) -> None:
        """Start it. Raises `OSError` when the system has no process, or no descriptor, left."""
        ours, theirs = socket.socketpair()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._carrier, self._connection = ours, Connection(os.dup(ours.fileno()))
        self._lock = threading.Lock()
        self._ready = False
        try:
            with theirs:
                self._process = _started(theirs.fileno(), self.wake)
        except BaseException:
            self._close()
            raise
        self.ended = os.pidfd_open(self._process.pid)
        """Readable once the process has ended."""

    @property
    def pid(self) -> int:
        """Which process it is."""
        return self._process.pid

    def ask(self, method: str, number: int = 0, *arguments: Any, descriptors: Sequence[int] = (), **named: Any) -> Any:
        """Let it do something, and wait. Raises :class:`WorkerGoneError`; `RuntimeError` for a fault over there."""
        with self._lock:
            try:
                self._await_start()
                self._connection.send((method, number, len(descriptors), arguments, named))
                if descriptors:
                    sendfds(self._carrier, list(descriptors))
                done, answer = self._answer(ANSWER_LIMIT_S)
            except (EOFError, OSError) as error:
                self._process.kill()
                raise WorkerGoneError(f"a worker of the portable path: {error}") from error
        if not done:
            raise RuntimeError(answer)
        return answer

    @property
    def is_up(self) -> bool:
        """Whether it has started; never waits. Raises :class:`WorkerGoneError` when it has ended instead."""
        with self._lock:
            try:
                if not self._ready and self._connection.poll():
                    self._await_start()
            except (EOFError, OSError) as error:
                raise WorkerGoneError("it ended at its start") from error
            return self._ready

    def _await_start(self) -> None:
        if not self._ready:
            self._answer(START_LIMIT_S)
            self._ready = True

    def _answer(self, limit_s: float) -> Any:
        if not self._connection.poll(limit_s):
            raise WorkerGoneError("no answer")
        return self._connection.recv()

    def kill(self) -> None:
        """End it at once; `stop` is still to be called."""
        self._process.kill()

    def stop(self) -> int:
        """End it, at the latest by force, and free what belongs to it; how it ended."""
        self._close()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_LIMIT_S)
        os.close(self.ended)
        return self._process.returncode

    def _close(self) -> None:
        self._connection.close()
        self._carrier.close()
        os.close(self.wake)


def _started(control: int, wake: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter: one that is forked from this one would have its threads' locks, and its memory."""
    command = (sys.executable, "-m", "bridge.media.portable", str(control), str(wake))
    places = {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    environment, descriptors = os.environ | places, (control, wake)
    with _signals_held():
        return subprocess.Popen(command, pass_fds=descriptors, env=environment, stdin=subprocess.DEVNULL)  # noqa: S603


@contextmanager
def _signals_held() -> Iterator[None]:
    """What is started inside has these signals blocked from its first moment: it ignores them only much later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
