"""Takes down what happens in calls on a thread of its own: a slow disk costs entries, never audio or signalling."""

import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from bridge.core.telemetry import Telemetry
from bridge.ops.traces.cleaning import Cleaner
from bridge.ops.traces.hep import HepSender, HepSettings
from bridge.ops.traces.items import Item
from bridge.ops.traces.sorter import Batch, Sorter
from bridge.store.database import StoreError
from bridge.store.traces.file import TraceFile

QUEUE_ITEMS = 20_000
"""What may wait for the disk: some seconds of the busiest bridge."""
_COLLECT_S = 0.25
_PRUNE_S = 60.0
_RETRY_S = 30.0
"""After a failure of the file: it may be a full disk."""
_MAX_BATCH = 1_000
_DAY_S = 86_400.0
_MEGABYTE = 1_000_000

_log = structlog.get_logger(__name__)


class Recorder(Protocol):
    """Where items go. Never blocks, never raises."""

    def add(self, item: Item) -> None:
        """Queue one item."""
        ...


class NoRecorder:
    """Keeps nothing: traces are off."""

    def add(self, item: Item) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """What is kept, for how long, and who else gets it."""

    path: Path | None
    """`None` keeps nothing."""
    days: float = 7.0
    max_mb: int = 500
    secret_headers: frozenset[str] = frozenset()
    """Header fields of trunks that are secrets."""
    hep: HepSettings | None = None


class CallRecorder:
    """`start` it, `add` to it, `stop` it."""

    def __init__(self, settings: TraceSettings, *, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._items: queue.Queue[Item | None] = queue.Queue(QUEUE_ITEMS)
        self._secret = settings.secret_headers
        self._sorter = Sorter(Cleaner(self._secret))
        self._hep = HepSender(settings.hep) if settings.hep is not None else None
        self._file: TraceFile | None = None
        self._is_ours = False
        """Calls in the file that have not ended are of this process."""
        self._next_try = self._next_prune = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="call-recorder", daemon=True)
        self._thread.start()

    def add(self, item: Item) -> None:
        """Queue one item; never blocks, never raises."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self._telemetry.count("trace_items_total", outcome="dropped")

    def keep_secret(self, headers: frozenset[str]) -> None:
        """Leave these header fields out as well, from the next message on."""
        self._secret |= headers
        self._sorter.cleaner = Cleaner(self._secret)

    def stop(self, limit_s: float = 5.0) -> None:
        """Write what is queued, for a bounded time; blocking."""
        if self._thread is None:
            return
        try:
            self._items.put(None, timeout=limit_s)
        except queue.Full:
            return
        self._thread.join(limit_s)

    # On the thread.

    def _run(self) -> None:
        going_on = True
        while going_on:
            going_on = self._take_some()
            try:
                # At the end nothing waits for its call any more.
                self._pass_on(self._sorter.collect(time.monotonic() if going_on else float("inf")))
                self._prune()
            except Exception:
                self._telemetry.count("internal_errors_total", component="ops")
                _log.exception("call_recorder_failed")
        self._close()

    def _take_some(self) -> bool:
        """Wait a moment, and take what has come; false when that was the end."""
        until = time.monotonic() + _COLLECT_S
        for _ in range(_MAX_BATCH):
            try:
                item = self._items.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return True
            if item is None:
                return False
            self._sorter.take(item, time.monotonic())
        return True

    def _pass_on(self, batch: Batch) -> None:
        if self._hep is not None and batch.sightings:
            self._send(self._hep, batch)
        if batch.calls or batch.names or batch.entries:
            self._write(batch)

    def _send(self, hep: HepSender, batch: Batch) -> None:
        total = len(batch.sightings)
        try:
            sent = hep.send(batch.sightings)
        except OSError as error:
            sent = 0
            _log.warning("hep_server_not_found", detail=error.strerror)
        self._telemetry.count("hep_messages_total", sent, outcome="sent")
        self._telemetry.count("hep_messages_total", total - sent, outcome="failed")

    def _write(self, batch: Batch) -> None:
        file = self._open_file()
        count = len(batch.calls) + len(batch.entries)
        if file is None:
            outcome = "failed" if self._settings.path is not None else "off"
        else:
            outcome = "written"
            try:
                file.write(calls=batch.calls, names=batch.names, entries=batch.entries)
            except StoreError as error:
                outcome = "failed"
                self._give_up(error)
        if outcome != "off":
            self._telemetry.count("trace_items_total", count, outcome=outcome)

    def _open_file(self) -> TraceFile | None:
        if self._file is None and self._settings.path is not None and time.monotonic() >= self._next_try:
            try:
                self._file = TraceFile(self._settings.path)
                if not self._is_ours:
                    self._file.end_left_over()
                    self._is_ours = True
            except StoreError as error:
                self._give_up(error)
        return self._file

    def _give_up(self, error: StoreError) -> None:
        """Try anew later. What comes meanwhile is counted and lost."""
        _log.warning("traces_not_written", detail=str(error), retry_s=_RETRY_S)
        self._close_file()
        self._next_try = time.monotonic() + _RETRY_S

    def _prune(self) -> None:
        if time.monotonic() < self._next_prune or (file := self._open_file()) is None:
            return
        self._next_prune = time.monotonic() + _PRUNE_S
        try:
            before = time.time() - self._settings.days * _DAY_S
            file.prune(before=before, max_bytes=self._settings.max_mb * _MEGABYTE)
        except StoreError as error:
            self._give_up(error)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _close(self) -> None:
        self._close_file()
        if self._hep is not None:
            self._hep.close()
