"""One SQLite file: a writer that commits many units of work at once, and a reader beside it.

A commit that others rely on waits for the disk, which takes milliseconds. Units of work that arrive meanwhile are
committed together (group commit), so that a busy bridge waits for the disk less often than it writes.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from bridge.core.errors import TrunklineError
from bridge.core.telemetry import NoTelemetry, Telemetry

T = TypeVar("T")
Work = Callable[[Connection], T]
"""A unit of work: statements only. It may run twice, when another unit of its batch fails."""

_MAX_WAITING = 1000
_MAX_BATCH = 64
_BUSY_TIMEOUT_MS = 5000
_PROBE_S = 5.0
"""How often a database that failed is tried while nobody writes: a bridge that is not ready may be given no work."""


class StoreError(TrunklineError):
    """The database cannot be used, or a unit of work failed; nothing of that unit has been stored."""


@dataclass(slots=True, kw_only=True)
class _Job(Generic[T]):
    work: Work[T]
    durable: bool
    done: asyncio.Future[T]


class Database:
    """An open database. Made by :func:`open_database`."""

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, telemetry: Telemetry) -> None:
        self._writer = writer
        self._reader = reader
        self._telemetry = telemetry
        self._reading = asyncio.Lock()
        self._reads: set[asyncio.Task[Any]] = set()
        self._jobs: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(_MAX_WAITING)
        self._synchronous = ""
        self._task = asyncio.create_task(self._write_forever(), name="store-writer")
        self._closed = False
        self._failing = False

    @property
    def healthy(self) -> bool:
        """Whether it is open and the last write succeeded."""
        return not (self._failing or self._closed)

    @property
    def waiting(self) -> int:
        """How many writes have not begun."""
        return self._jobs.qsize()

    async def write(self, work: Work[T], *, durable: bool = True) -> T:
        """Run `work` in a transaction and return when it is committed.

        `durable` waits for the disk (synchronous=FULL): for what has been promised to somebody else. Without it the
        commit survives the end of the process but perhaps not a power cut.
        """
        if self._closed:
            raise StoreError("the store is closed")
        job: _Job[T] = _Job(work=work, durable=durable, done=asyncio.get_running_loop().create_future())
        with self._timed("write"):
            await self._jobs.put(job)
            if self._task.done():
                raise StoreError("the store is closed")
            return await job.done

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, on a connection that does not wait for the writer.

        A caller that is cancelled leaves the read to finish: broken off half way, it would hold the connection in a
        state that nobody knows.
        """
        if self._closed:
            raise StoreError("the store is closed")
        task = asyncio.create_task(self._read(work), name="store-read")
        self._reads.add(task)
        task.add_done_callback(self._forget_read)
        await asyncio.wait([task])
        return task.result()

    def _forget_read(self, task: asyncio.Task[Any]) -> None:
        self._reads.discard(task)
        if not task.cancelled():
            # Its caller may have gone, and asyncio reports a failure that nobody has looked at.
            task.exception()

    async def _read(self, work: Work[T]) -> T:
        try:
            with self._timed("read"):
                async with self._reading, self._reader.begin() as connection:
                    return await connection.run_sync(work)
        except SQLAlchemyError as error:
            raise StoreError(f"reading failed: {type(error).__name__}") from error

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        """Measure what a caller waits, whatever comes of it."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._telemetry.observe("db_seconds", time.monotonic() - began, operation=operation)

    async def close(self) -> None:
        """Finish what has been handed in, writes and reads, then close the file; may be called twice."""
        if not self._closed:
            self._closed = True
            await self._jobs.put(None)
        try:
            await asyncio.wait([self._task, *self._reads])
            self._task.result()
        finally:
            await self._writer.dispose()
            await self._reader.dispose()

    async def _write_forever(self) -> None:
        """However this ends, nobody is left waiting for it."""
        batch: list[_Job[Any]] = []
        last = False
        try:
            while not last and (first := await self._next()) is not None:
                batch, last = self._collect(first)
                await self._commit_batch(batch)
        finally:
            self._closed = True
            self._abandon(batch)

    async def _next(self) -> _Job[Any] | None:
        """The next unit of work; after a failure, a probe when none comes for a while."""
        if not self._failing:
            return await self._jobs.get()
        try:
            async with asyncio.timeout(_PROBE_S):
                return await self._jobs.get()
        except TimeoutError:
            return _probe()

    def _abandon(self, batch: Sequence[_Job[Any]]) -> None:
        waiting = [job for _ in range(self._jobs.qsize()) if (job := self._jobs.get_nowait()) is not None]
        for job in (*batch, *waiting):
            _settle(job, error=StoreError("the store is closed"))

    def _collect(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        batch = [first]
        while len(batch) < _MAX_BATCH and not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    async def _commit_batch(self, batch: Sequence[_Job[Any]]) -> None:
        try:
            results = await self._commit(batch)
        except Exception as error:
            if len(batch) > 1:
                for job in batch:
                    await self._commit_batch([job])
                return
            failed = StoreError(f"writing failed: {type(error).__name__}")
            failed.__cause__ = error
            self._failing = self._failing or isinstance(error, SQLAlchemyError)
            _settle(batch[0], error=failed if isinstance(error, SQLAlchemyError) else error)
            return
        self._failing = False
        for job, result in zip(batch, results, strict=True):
            _settle(job, result=result)

    async def _commit(self, batch: Sequence[_Job[Any]]) -> list[Any]:
        def run(connection: Connection) -> list[Any]:
            return [job.work(connection) for job in batch]

        async with self._writer.connect() as connection:
            await self._set_synchronous(connection, "FULL" if any(job.durable for job in batch) else "NORMAL")
            async with connection.begin():
                return await connection.run_sync(run)

    async def _set_synchronous(self, connection: AsyncConnection, mode: str) -> None:
        """SQLite takes a new mode only outside a transaction, so it goes past SQLAlchemy's own BEGIN."""
        if mode != self._synchronous:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            if driver is None:
                raise StoreError("the connection is gone")
            await driver.execute(f"PRAGMA synchronous={mode}")
            self._synchronous = mode


def _probe() -> _Job[None]:
    """Rewrites the first page as it is, and waits for the disk. Nobody waits for the outcome."""

    def work(connection: Connection) -> None:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version={int(version)}")

    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.cancel()
    return _Job(work=work, durable=True, done=done)


def _settle(job: _Job[T], *, result: Any = None, error: Exception | None = None) -> None:
    """Tell the caller, unless it has stopped waiting."""
    if job.done.done():
        return
    if error is not None:
        job.done.set_exception(error)
    else:
        job.done.set_result(result)


def open_database(path: Path, telemetry: Telemetry | None = None) -> Database:
    """Open a database that :mod:`bridge.store.upgrade` has brought up to date."""
    return Database(_engine(path, "BEGIN IMMEDIATE"), _engine(path, "BEGIN"), telemetry or NoTelemetry())


def _engine(path: Path, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=StaticPool,
        pool_reset_on_return=None,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # sqlite3's own transaction control would begin too late for "IMMEDIATE".
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
