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
from bridge.media.portable.process import START_LIMIT_S, WorkerGoneError, WorkerProcess
from bridge.media.portable.shared_sound import share
from bridge.media.portable.tally import Tallied
from bridge.media.portable.worker import OF_A_CALL
from bridge.media.sounds import CodedSound
from bridge.media.tap import Tapped

RESTART_AFTER_S = 1.0
_log = structlog.get_logger()


class CallHandle:
    """One call of a worker; it may be asked until the end of the process."""

    def __init__(self, number: int, worker: WorkerProcess, on_closed: Callable[[int], object]) -> None:
        self.number = number
        self.worker = worker
        self._on_closed = on_closed
        self.stats, self.seen = MediaStats(), Seen()
        """What the worker tells a few times a second: whoever wants to know, on any thread, never waits for it."""
        self._left: tuple[list[Tapped], bool] = ([], False)
        """What was set aside and not fetched when the call was closed."""
        self._is_open = True
        self._lock = threading.Lock()
        """What is set aside is asked for by any thread, also while the call is being closed."""

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
                (self.stats, self.seen), self._left = last
            self._is_open = False
        self._on_closed(self.number)


class Engine:
    """The worker processes; every method but those of calls runs on the media thread."""

    def __init__(self, *, threads: int, opus: str | None) -> None:
        """Start them all. Raises `OSError` when one does not come up."""
        self._opus = opus
        self._bell = select.epoll()
        self._workers: list[WorkerProcess] = []
        self._starting: list[WorkerProcess] = []
        """In the place of some that have ended; a new interpreter takes most of a second to be ready."""
        self._newest_at = -math.inf
        self._calls: dict[int, CallHandle] = {}
        self._counted = itertools.count(1)
        self._sounds: weakref.WeakKeyDictionary[CodedSound, int] = weakref.WeakKeyDictionary()
        self._shared: dict[int, int] = {}
        """The memory of each sound, by its number."""
        self._dropped: list[int] = []
        """Sounds that nobody knows any more."""
        self._lost: list[int] = []
        self._ended = 0
        self._wanted = max(threads, 1)
        self._tallies: list[Tallied] = []
        try:
            self._starting += [self._started() for _ in range(self._wanted)]
            while self._starting:
                self._starting[0].ask("collect")
                self._employ(self._starting.pop(0))
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

    def _started(self) -> WorkerProcess:
        self._newest_at = time.monotonic()
        return WorkerProcess()

    def _employ(self, worker: WorkerProcess) -> None:
        """Give it work from now on."""
        for number, memory in self._shared.items():
            worker.ask("take_sound", number, descriptors=(memory,))
        self._bell.register(worker.wake, select.EPOLLIN)
        self._bell.register(worker.ended, select.EPOLLIN)
        self._workers.append(worker)

    def sound(self, sound: CodedSound) -> int:
        """The number under which all workers know a sound, while somebody here does."""
        number = self._sounds.get(sound)
        if number is None:
            number = next(self._counted)
            memory = self._shared[number] = share(sound)
            self._sounds[sound] = number
            weakref.finalize(sound, self._dropped.append, number)
            self._tell_all("take_sound", number, memory)
        return number

    def _tell_all(self, method: str, number: int, *descriptors: int) -> None:
        for worker in self._workers:
            with contextlib.suppress(WorkerGoneError):
                worker.ask(method, number, descriptors=descriptors)

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
        """A call with the phone's two sockets, on the worker with the fewest that is alive. Raises `OSError`."""
        opening = Opening(
            trusted=trusted, to_matrix=to_matrix, to_sip=to_sip, cname=cname, signals_digits=signals_digits
        )
        load = Counter(call.worker for call in self._calls.values())
        for worker in sorted(self._workers, key=lambda worker: load[worker]):
            call = CallHandle(next(self._counted), worker, lambda number: self._calls.pop(number, None))
            with contextlib.suppress(WorkerGoneError):
                worker.ask("open", call.number, opening, descriptors=(rtp, rtcp))
                self._calls[call.number] = call
                return call
        raise WorkerGoneError("no worker of the portable path is left")

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
                tallied, of_worker, traces, told = worker.ask("look_after")
                self._tallies.append(tallied)
                faults += of_worker
                for trace in traces:
                    _log.error("packet_worker_failed", trace=trace)
                for number, numbers in told.items():
                    if number in self._calls:
                        self._calls[number].stats, self._calls[number].seen = numbers
        while self._dropped:
            number = self._dropped.pop()
            self._tell_all("drop_sound", number)
            os.close(self._shared.pop(number))
        self._replace_workers()
        return faults

    def _replace_workers(self) -> None:
        """Start one for each that has ended, though not faster than one a second; nobody waits until it is up."""
        for worker in tuple(self._starting):
            self._employ_when_up(worker)
        is_short = len(self._workers) + len(self._starting) < self._wanted
        if is_short and time.monotonic() - self._newest_at > RESTART_AFTER_S:
            try:
                self._starting.append(self._started())
            except OSError as error:
                _log.error("packet_worker_not_started", error=str(error))

    def _employ_when_up(self, worker: WorkerProcess) -> None:
        try:
            if worker.is_up:
                self._employ(worker)
            elif time.monotonic() - self._newest_at < START_LIMIT_S:
                return
            else:
                raise WorkerGoneError("it takes too long")
        except WorkerGoneError as error:
            worker.kill()
            _log.error("packet_worker_not_started", error=str(error), exit_code=worker.stop())
        self._starting.remove(worker)

    def tell(self, telemetry: Telemetry) -> None:
        """Pass on what the workers have counted."""
        tallies, self._tallies = self._tallies, []
        for tallied in tallies:
            tallied.tell(telemetry)

    def stop(self) -> None:
        """End the workers; may be called twice."""
        for worker in (*self._workers, *self._starting):
            worker.stop()
        self._workers.clear()
        self._starting.clear()
        while self._shared:
            os.close(self._shared.popitem()[1])
        self._bell.close()
