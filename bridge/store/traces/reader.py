"""Questions to the file of traces."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

from bridge.core.ids import CallId, UserId
from bridge.store.database import StoreError
from bridge.store.traces.rows import CallFilter, Tally, TracedCall, TraceEntry, TrunkSpend
from bridge.store.traces.tables import BUSY_S, CALL_FIELDS, ENTRY_FIELDS, VERSION

MAX_SAMPLES = 2_000
"""Of the sound of one call, for a picture of it; a call of an hour has some 700."""
_AUDIO = "audio"
"""The kind of entries that are the sound of a call, not a step of it."""

_CALLS = f"SELECT {CALL_FIELDS} FROM calls"  # noqa: S608  (names of our own fields)
_ENTRIES = f"SELECT {ENTRY_FIELDS} FROM entries"  # noqa: S608
_SOUND = (
    f"SELECT {ENTRY_FIELDS} FROM (SELECT *, row_number() OVER (ORDER BY at, position) AS number FROM entries "  # noqa: S608
    "WHERE call_id = ? AND kind = ?) WHERE (number - 1) % ? = 0 ORDER BY number"
)


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
                f"{_CALLS} {where} ORDER BY began_at DESC, call_id DESC LIMIT ?", (*values, wanted.limit)
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
            with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as connection:
                connection.execute("PRAGMA query_only = 1")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version != VERSION:
                    raise StoreError(f"the traces in {self._path} are of another version of Trunkline")
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"the traces in {self._path} cannot be read: {error}") from error


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
        conditions.append("(began_at, call_id) < (?, ?)")
        values += wanted.before
    if wanted.text:
        part = "%" + wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        likes = " OR ".join(f"{name} LIKE ? ESCAPE '\\'" for name in ("user", "number", "own_number"))
        named = "call_id IN (SELECT call_id FROM names WHERE name = ?)"
        conditions.append(f"({likes} OR call_id = ? OR {named})")
        values += [part, part, part, wanted.text, wanted.text]
    return conditions, values
