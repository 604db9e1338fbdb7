"""What happened in each call, step by step: a file of its own, which nothing but the curiosity of operators needs.

Not in the database of the bridge: traces are many and cheap, that one's writes are few and must reach the disk. The
file may be deleted at any time, and one that is damaged or of another version is begun anew.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from bridge.core.ids import CallId, UserId
from bridge.store.database import StoreError

VERSION = 2
"""Of the tables below; a file with another one is begun anew."""
MAX_SAMPLES = 2_000
"""Of the sound of one call, for a picture of it; a call of an hour has some 700."""
_AUDIO = "audio"
"""The kind of entries that are the sound of a call, not a step of it."""
_BUSY_S = 5.0
_SHARE = 20
"""One of so many calls is let go of at a time when the file is too large."""

_TABLES = """
CREATE TABLE calls (
    call_id TEXT PRIMARY KEY, began_at REAL NOT NULL, ended_at REAL, direction TEXT NOT NULL, trunk TEXT NOT NULL,
    user TEXT NOT NULL, number TEXT NOT NULL, own_number TEXT NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL,
    sip_status INTEGER NOT NULL, talk_s REAL NOT NULL, ended_by TEXT NOT NULL,
    cost INTEGER NOT NULL
);
CREATE INDEX calls_by_time ON calls (began_at);
CREATE TABLE names (name TEXT NOT NULL, call_id TEXT NOT NULL, PRIMARY KEY (name, call_id)) WITHOUT ROWID;
CREATE INDEX names_by_call ON names (call_id);
CREATE TABLE entries (
    position INTEGER PRIMARY KEY, call_id TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, way TEXT NOT NULL,
    title TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX entries_by_call ON entries (call_id, at);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """A call in a line of a list. Moments are seconds since 1970 UTC."""

    call_id: CallId
    began_at: float
    ended_at: float | None = None
    """`None` while it goes on."""
    direction: str
    trunk: str = ""
    user: str = ""
    number: str = ""
    """Of the phone; empty when it was withheld."""
    own_number: str = ""
    """That of the user, as the phone was shown it or has dialled it."""
    result: str = ""
    """Of the verdict, as the three below; empty while the call goes on."""
    reason: str = ""
    sip_status: int = 0
    talk_s: float = 0.0
    ended_by: str = ""
    cost: int = 0
    """Millionths, as far as anybody knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One step in the life of a call."""

    call_id: CallId
    at: float
    """Seconds since 1970 UTC."""
    kind: str
    """`matrix`, `sip`, `media`, `state`, `audio` or `verdict`."""
    way: str = ""
    """`in`, `out`, or empty for what happened inside."""
    title: str
    detail: str = ""
    """The message, or figures as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls are looked for; what is empty does not matter."""

    text: str = ""
    """A part of the user id or of a number, or a call by one of its names."""
    direction: str = ""
    trunk: str = ""
    result: str = ""
    reason: str = ""
    before: float | None = None
    """Begun earlier than this."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often calls ended in one way."""

    result: str
    reason: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpend:
    """Calls out over one trunk."""

    trunk: str
    calls: int
    talk_s: float
    cost: int
    """Millionths."""


class TraceFile:
    """The writing side; it belongs to the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises :class:`StoreError` when it cannot be written at all."""
        try:
            self._connection = _open_anew(path)
            with self._connection:
                # Whatever an earlier process has not ended: those that can be taken up again are ended once more.
                self._connection.execute(
                    "UPDATE calls SET ended_at = began_at, result = 'server', reason = 'abnormal' "
                    "WHERE ended_at IS NULL"
                )
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the file of traces {path} cannot be used: {error}") from error

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


class TraceReader:
    """Questions about calls that are or were; each opens the file for itself, so any thread or process may ask."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> list[CallId]:
        """Calls by our own id, by the Matrix call id or by the Call-ID of SIP; the newest first."""
        question = "SELECT call_id FROM names JOIN calls USING (call_id) WHERE name = ? ORDER BY began_at DESC LIMIT 20"
        with self._open() as connection:
            rows = connection.execute(question, (name,)).fetchall()
            own = connection.execute("SELECT call_id FROM calls WHERE call_id = ?", (name,)).fetchall()
        return [CallId(row[0]) for row in (*own, *rows)]

    def call(self, call_id: CallId) -> TracedCall | None:
        """One call."""
        with self._open() as connection:
            row = connection.execute(f"{_CALLS} WHERE call_id = ?", (call_id,)).fetchone()
        return _call(row) if row else None

    def names(self, call_id: CallId) -> list[str]:
        """The other names of a call."""
        with self._open() as connection:
            rows = connection.execute("SELECT name FROM names WHERE call_id = ? LIMIT 20", (call_id,)).fetchall()
        return [str(row[0]) for row in rows]

    def steps(self, call_id: CallId, *, skip: int, limit: int) -> list[TraceEntry]:
        """What happened in a call, in order, from some step on."""
        question = f"{_ENTRIES} WHERE call_id = ? AND kind != ? ORDER BY at, position LIMIT ? OFFSET ?"
        with self._open() as connection:
            rows = connection.execute(question, (call_id, _AUDIO, limit, skip)).fetchall()
        return [_entry(row) for row in rows]

    def sound(self, call_id: CallId, *, limit: int = MAX_SAMPLES) -> list[TraceEntry]:
        """The sound of a call over all its time, in order; of more samples than `limit` every so-many-th."""
        with self._open() as connection:
            of_the_call = (call_id, _AUDIO)
            count = connection.execute(
                "SELECT count(*) FROM entries WHERE call_id = ? AND kind = ?", of_the_call
            ).fetchone()[0]
            rows = connection.execute(_SOUND, (*of_the_call, max(1, -(-count // limit)))).fetchall()
        return [_entry(row) for row in rows]

    def entries(self, call_id: CallId) -> list[TraceEntry]:
        """All that is known of a call, in order."""
        with self._open() as connection:
            rows = connection.execute(f"{_ENTRIES} WHERE call_id = ? ORDER BY at, position", (call_id,)).fetchall()
        return [_entry(row) for row in rows]

    def calls(self, wanted: CallFilter) -> list[TracedCall]:
        """Calls that a filter lets pass, the newest first."""
        conditions, values = _conditions(wanted)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._open() as connection:
            rows = connection.execute(
                f"{_CALLS} {where} ORDER BY began_at DESC LIMIT ?", (*values, wanted.limit)
            ).fetchall()
        return [_call(row) for row in rows]

    def calls_of(self, user: UserId) -> list[TracedCall]:
        """All calls of one user, the oldest first."""
        with self._open() as connection:
            rows = connection.execute(f"{_CALLS} WHERE user = ? ORDER BY began_at", (user,)).fetchall()
        return [_call(row) for row in rows]

    def tally(self, *, since: float) -> list[Tally]:
        """How the calls that began since then have ended, the most frequent first."""
        question = (
            "SELECT result, reason, count(*) FROM calls WHERE began_at >= ? AND ended_at IS NOT NULL "
            "GROUP BY result, reason ORDER BY count(*) DESC, reason LIMIT 200"
        )
        with self._open() as connection:
            rows = connection.execute(question, (since,)).fetchall()
        return [Tally(result=row[0], reason=row[1], calls=row[2]) for row in rows]

    def spend(self, *, since: float) -> list[TrunkSpend]:
        """What answered calls out that began since then have cost."""
        question = (
            "SELECT trunk, count(*), sum(talk_s), sum(cost) FROM calls WHERE began_at >= ? AND talk_s > 0 "
            "AND direction = 'outbound' GROUP BY trunk ORDER BY sum(cost) DESC, trunk LIMIT 200"
        )
        with self._open() as connection:
            rows = connection.execute(question, (since,)).fetchall()
        return [TrunkSpend(trunk=row[0], calls=row[1], talk_s=row[2], cost=row[3]) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            raise StoreError(f"there are no traces yet: {self._path} does not exist")
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as connection:
                connection.execute("PRAGMA query_only = 1")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version != VERSION:
                    raise StoreError(f"the traces in {self._path} are of another version of Trunkline")
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"the traces in {self._path} cannot be read: {error}") from error


_CALL_FIELDS = ", ".join(field.name for field in fields(TracedCall))
_ENTRY_FIELDS = ", ".join(field.name for field in fields(TraceEntry))
_CALLS = f"SELECT {_CALL_FIELDS} FROM calls"  # noqa: S608  (names of our own fields)
_ENTRIES = f"SELECT {_ENTRY_FIELDS} FROM entries"  # noqa: S608
_SOUND = (
    f"SELECT {_ENTRY_FIELDS} FROM (SELECT *, row_number() OVER (ORDER BY at, position) AS number FROM entries "  # noqa: S608
    "WHERE call_id = ? AND kind = ?) WHERE (number - 1) % ? = 0 ORDER BY number"
)
_ADD = f"INSERT INTO entries ({_ENTRY_FIELDS}) VALUES ({', '.join('?' * len(fields(TraceEntry)))})"  # noqa: S608
_UPSERT = f"REPLACE INTO calls ({_CALL_FIELDS}) VALUES ({', '.join('?' * len(fields(TracedCall)))})"  # noqa: S608


def _values(row: TracedCall | TraceEntry) -> tuple[object, ...]:
    """Strangers choose ids: half a character (a lone surrogate) cannot be stored as it is."""
    values = (getattr(row, field.name) for field in fields(row))
    return tuple(v.encode(errors="replace").decode() if isinstance(v, str) else v for v in values)


def _call(row: tuple[object, ...]) -> TracedCall:
    names = (field.name for field in fields(TracedCall))
    return TracedCall(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type]


def _entry(row: tuple[object, ...]) -> TraceEntry:
    names = (field.name for field in fields(TraceEntry))
    return TraceEntry(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type]


def _conditions(wanted: CallFilter) -> tuple[list[str], list[object]]:
    conditions, values = [], list[object]()
    for name in ("direction", "trunk", "result", "reason"):
        if value := getattr(wanted, name):
            conditions.append(f"{name} = ?")
            values.append(value)
    if wanted.before is not None:
        conditions.append("began_at < ?")
        values.append(wanted.before)
    if wanted.text:
        part = "%" + wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        likes = " OR ".join(f"{name} LIKE ? ESCAPE '\\'" for name in ("user", "number", "own_number"))
        named = "call_id IN (SELECT call_id FROM names WHERE name = ?)"
        conditions.append(f"({likes} OR call_id = ? OR {named})")
        values += [part, part, part, wanted.text, wanted.text]
    return conditions, values


def _open_anew(path: Path) -> sqlite3.Connection:
    """Open the file; one that cannot be read, or is of another version, makes room for an empty one."""
    path.touch(mode=0o600)
    try:
        connection = _connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError:
        version = -1
    if version == VERSION:
        return connection
    if version:
        for name in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
        path.touch(mode=0o600)
        connection = _connect(path)
    connection.executescript(f"PRAGMA auto_vacuum = INCREMENTAL; VACUUM; {_TABLES} PRAGMA user_version = {VERSION};")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
