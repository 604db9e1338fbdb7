"""The writing side of the file of traces."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from bridge.core.ids import CallId, UserId
from bridge.store.database import StoreError
from bridge.store.traces.rows import TracedCall, TraceEntry
from bridge.store.traces.tables import CALL_FIELDS, ENTRY_FIELDS, open_anew

_SHARE = 20
"""One of so many calls is let go of at a time when the file is too large."""

_ADD = f"INSERT INTO entries ({ENTRY_FIELDS}) VALUES ({', '.join('?' * len(fields(TraceEntry)))})"  # noqa: S608
_UPSERT = f"REPLACE INTO calls ({CALL_FIELDS}) VALUES ({', '.join('?' * len(fields(TracedCall)))})"  # noqa: S608


class TraceFile:
    """The writing side; it belongs to the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises :class:`StoreError` when it cannot be written at all."""
        try:
            self._connection = open_anew(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the file of traces {path} cannot be used: {error}") from error

    def end_left_over(self) -> None:
        """End what an earlier process has not, before the first call of this one is written. Raises `StoreError`.

        Those that can be taken up again are ended once more.
        """
        try:
            with self._connection as connection:
                connection.execute(
                    "UPDATE calls SET ended_at = began_at, result = 'server', reason = 'abnormal' "
                    "WHERE ended_at IS NULL"
                )
        except sqlite3.Error as error:
            raise StoreError(f"writing traces failed: {error}") from error

    def write(
        self,
        *,
        calls: Sequence[TracedCall] = (),
        names: Sequence[tuple[str, CallId]] = (),
        entries: Sequence[TraceEntry] = (),
    ) -> None:
        """All of it or nothing. Raises :class:`StoreError`."""
        try:
            with self._connection as connection:
                connection.executemany(_UPSERT, map(_values, calls))
                connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", names)
                connection.executemany(_ADD, map(_values, entries))
        except sqlite3.Error as error:
            raise StoreError(f"writing traces failed: {error}") from error

    def prune(self, *, before: float, max_bytes: int) -> None:
        """Forget what is too old, and the oldest of the rest until the file is small enough."""
        try:
            with self._connection as connection:
                self._forget(connection.execute("SELECT call_id FROM calls WHERE began_at < ?", (before,)).fetchall())
            while self.size > max_bytes and (oldest := self._oldest()):
                with self._connection:
                    self._forget(oldest)
            self._connection.execute("PRAGMA incremental_vacuum")
        except sqlite3.Error as error:
            raise StoreError(f"forgetting traces failed: {error}") from error

    def forget_user(self, user: UserId) -> int:
        """Forget the calls of one user, and overwrite them in the file; gives how many. Raises :class:`StoreError`."""
        try:
            self._connection.execute("PRAGMA secure_delete = ON")
            with self._connection as connection:
                calls = connection.execute("SELECT call_id FROM calls WHERE user = ?", (user,)).fetchall()
                self._forget(calls)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"forgetting traces failed: {error}") from error
        return len(calls)

    @property
    def size(self) -> int:
        """Bytes in use."""
        pages, free, page_size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page_size

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _oldest(self) -> list[tuple[str]]:
        count = self._connection.execute("SELECT count(*) FROM calls").fetchone()[0]
        share = max(1, count // _SHARE)
        return self._connection.execute("SELECT call_id FROM calls ORDER BY began_at LIMIT ?", (share,)).fetchall()

    def _forget(self, calls: Iterable[tuple[str]]) -> None:
        calls = list(calls)
        for table in ("entries", "names", "calls"):
            self._connection.executemany(f"DELETE FROM {table} WHERE call_id = ?", calls)  # noqa: S608


def _values(row: TracedCall | TraceEntry) -> tuple[object, ...]:
    """Strangers choose ids: half a character (a lone surrogate) cannot be stored as it is."""
    values = (getattr(row, field.name) for field in fields(row))
    return tuple(v.encode(errors="replace").decode() if isinstance(v, str) else v for v in values)
