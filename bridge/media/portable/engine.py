"""The engine's side of the worker processes, with the methods of `trunkline_native`'s `Engine` and `NativeCall`."""

import contextlib
import itertools
import math
import os
import select
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from bridge.core.telemetry import Telemetry
from bridge.media.engine import MediaStats
from bridge.media.packet_engine import Contents, Opening, Seen, StreamStart
from bridge.media.portable.process import WorkerGoneError, WorkerProcess
from bridge.media.portable.tally import Tallied
from bridge.media.portable.worker import OF_A_CALL
from bridge.media.sounds import Sound
from bridge.media.tap import Tapped

RESTART_AFTER_S = 1.0
_log = structlog.get_logger()


class CallHandle:
    """One call of a worker; it may be asked until the end of the process."""

    def __init__(self, number: int, worker: WorkerProcess, on_closed: Callable[[int], object]) -> None:
        self.number = number
        self.worker = worker
        self._on_closed = on_closed
        self.seen = Seen()
        """What the worker tells a few times a second."""
        self._stats = MediaStats()
        self._left: tuple[list[Tapped], bool] = ([], False)
        """What was set aside and not fetched when the call was closed."""
        self._is_open = True
        self._lock = threading.Lock()
        """Numbers are asked for by any thread, also while the call is being closed."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The commands of :class:`bridge.media.portable.call.PortableCall` that need nothing else."""
        if name not in OF_A_CALL:
            raise AttributeError(name)
        return lambda *arguments, **named: self._ask(name, *arguments, **named)

    def _ask(self, method: str, *arguments: Any, descriptors: tuple[int, ...] = (), **named: Any) -> Any:
        """A call whose worker has gone is about to be ended; until then nothing happens to it."""
        with self._lock:
            return self._asked(method, *arguments, descriptors=descriptors, **named) if self._is_open else None

    def _asked(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return self.worker.ask(method, self.number, *arguments, **named)
        except WorkerGoneError:
            return None

    def add_socket(self, descriptor: int, named: bytes, *, relayed: bool) -> int:
        """Read one more socket of the Matrix leg, or a relay; the number by which it is known from now on."""
        number = self._ask("add_socket", named, relayed, descriptors=(descriptor,))
        return -1 if number is None else int(number)

    def join(self, partner: "CallHandle | None") -> None:
        """Carry this phone's audio to that of another call, of whichever worker; `None` parts them."""
        if partner is None:
            self._ask("hand_to")
            return
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here, there:
            partner._ask("hear", descriptors=(there.fileno(),))
            self._ask("hand_to", descriptors=(here.fileno(),))

    @property
    def off_path(self) -> int:
        """Datagrams from addresses that ICE has not validated."""
        return self.seen.off_path

    @property
    def unexpected_source(self) -> tuple[str, str] | None:
        """Where RTP came from first that was not announced, and what was."""
        return self.seen.unexpected_source

    def take_discards(self) -> list[tuple[str, int]]:
        """Nothing: they are in what the worker has counted."""
        return []

    def stats(self) -> MediaStats:
        """The numbers so far, or at the end."""
        self._keep(self._ask("stats"))
        return self._stats

    def _keep(self, told: tuple[MediaStats, Seen] | None) -> None:
        if told is not None:
            self._stats, self.seen = told

    def tapped(self) -> tuple[list[Tapped], bool]:
        """What was set aside since the last time, and whether some was lost."""
        tapped: tuple[list[Tapped], bool] | None = self._ask("tapped")
        if tapped is None:
            tapped, self._left = self._left, ([], self._left[1])
        return tapped

    def close(self) -> None:
        """Free everything; the numbers stay."""
        with self._lock:
            last = self._asked("close") if self._is_open else None
            if last is not None:
                told, self._left = last
                self._keep(told)
            self._is_open = False
        self._on_closed(self.number)


class Engine:
    """The worker processes; every method but those of calls runs on the media thread."""

    def __init__(self, *, threads: int, opus: str | None) -> None:
        """Start them all. Raises `OSError` when one does not come up."""
        self._opus = opus
        self._bell = select.epoll()
        self._workers: list[WorkerProcess] = []
        self._started_at: dict[WorkerProcess, float] = {}
        self._calls: dict[int, CallHandle] = {}
        self._counted = itertools.count(1)
        self._sounds: weakref.WeakKeyDictionary[Sound, int] = weakref.WeakKeyDictionary()
        self._dropped: list[int] = []
        """Sounds that nobody knows any more."""
        self._lost: list[int] = []
        self._ended = 0
        self._wanted = max(threads, 1)
        self._tallies: list[Tallied] = []
        try:
            for _ in range(self._wanted):
                self._start_worker()
            for worker in self._workers:
                worker.ask("collect")
        except BaseException:
            self.stop()
            raise

    @property
    def has_opus(self) -> bool:
        """Whether libopus was found; each worker loads it when a call needs it."""
        return self._opus is not None

    def fileno(self) -> int:
        """Readable while `collect` has something to give."""
        return self._bell.fileno()

    def _start_worker(self) -> None:
        worker = WorkerProcess()
        self._bell.register(worker.wake, select.EPOLLIN)
        self._bell.register(worker.ended, select.EPOLLIN)
        self._workers.append(worker)
        self._started_at[worker] = time.monotonic()
        for sound, number in self._sounds.items():
            worker.ask("take_sound", number, sound)

    def sound(self, sound: Sound) -> int:
        """The number under which all workers know a sound, while somebody here does."""
        number = self._sounds.get(sound)
        if number is None:
            number = self._sounds[sound] = next(self._counted)
            weakref.finalize(sound, self._dropped.append, number)
            self._tell_all("take_sound", number, sound)
        return number

    def _tell_all(self, method: str, number: int, *arguments: Any) -> None:
        for worker in self._workers:
            with contextlib.suppress(WorkerGoneError):
                worker.ask(method, number, *arguments)

    def open(
        self,
        *,
        rtp: int,
        rtcp: int,
        trusted: list[tuple[str, int]],
        to_matrix: StreamStart,
        to_sip: StreamStart,
        cname: str,
        signals_digits: bool,
    ) -> CallHandle:
        """A call with the phone's two sockets, on the worker that has the fewest. Raises `OSError`."""
        opening = Opening(
            trusted=trusted, to_matrix=to_matrix, to_sip=to_sip, cname=cname, signals_digits=signals_digits
        )
        load = Counter(call.worker for call in self._calls.values())
        worker = min(self._workers, key=lambda worker: load[worker], default=None)
        if worker is None:
            raise WorkerGoneError("no worker of the portable path is left")
        call = CallHandle(next(self._counted), worker, lambda number: self._calls.pop(number, None))
        worker.ask("open", call.number, opening, descriptors=(rtp, rtcp))
        self._calls[call.number] = call
        return call

    def collect(self) -> Contents:
        """What came since the last time."""
        everything: Contents = ([], [])
        rung = {descriptor for descriptor, _ in self._bell.poll(0)}
        for worker in tuple(self._workers):
            if worker.ended in rung:
                self._bury(worker)
            elif worker.wake in rung:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(worker.wake)
                with contextlib.suppress(WorkerGoneError):
                    contents: Contents = worker.ask("collect")
                    everything[0].extend(contents[0])
                    everything[1].extend(contents[1])
        return everything

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker has ended by itself: its calls are lost."""
        self._workers.remove(worker)
        lost = [number for number, call in self._calls.items() if call.worker is worker]
        self._lost += lost
        self._ended += 1
        for number in lost:
            del self._calls[number]
        _log.error("packet_worker_ended", calls=len(lost), exit_code=worker.stop())

    def take_lost(self) -> tuple[list[int], int]:
        """Calls whose worker has ended since the last time, and how many did."""
        lost, self._lost = self._lost, []
        ended, self._ended = self._ended, 0
        return lost, ended

    def take_faults(self) -> int:
        """Faults that were survived, since the last time; looks after the workers meanwhile."""
        faults = 0
        for worker in tuple(self._workers):
            with contextlib.suppress(WorkerGoneError):
                tallied, of_worker, traces, seen = worker.ask("look_after")
                self._tallies.append(tallied)
                faults += of_worker
                for trace in traces:
                    _log.error("packet_worker_failed", trace=trace)
                for number, what in seen.items():
                    if number in self._calls:
                        self._calls[number].seen = what
        while self._dropped:
            self._tell_all("drop_sound", self._dropped.pop())
        self._replace_workers()
        return faults

    def _replace_workers(self) -> None:
        """Start one for each that has ended, though not faster than one a second."""
        newest = max(self._started_at.values(), default=-math.inf)
        if len(self._workers) < self._wanted and time.monotonic() - newest > RESTART_AFTER_S:
            try:
                self._start_worker()
            except OSError as error:
                _log.error("packet_worker_not_started", error=str(error))

    def tell(self, telemetry: Telemetry) -> None:
        """Pass on what the workers have counted."""
        tallies, self._tallies = self._tallies, []
        for tallied in tallies:
            tallied.tell(telemetry)

    def stop(self) -> None:
        """End the workers; may be called twice."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self._bell.close()
