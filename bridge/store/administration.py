"""What programs have set over the admin API, and the trail of what each of them has done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Executable, delete, func, inspect, select, update
from sqlalchemy.dialects.sqlite import insert

from bridge.store.beside import open_beside
from bridge.store.database import Database
from bridge.store.tables import admin_changes, admin_entries

CHANGES_KEPT = 10_000
"""Of the trail; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One number or permission, as it was sent."""

    kind: str
    """`number` or `permission`."""
    name: str
    body: Mapping[str, Any]


def stored_entries(path: Path) -> tuple[StoredEntry, ...]:
    """The same for a command beside the bridge; none where no bridge has been that knows of them."""
    if not path.exists():
        return ()
    with open_beside(path) as connection:
        return _entries(connection) if inspect(connection).has_table(admin_entries.name) else ()


def _entries(connection: Connection) -> tuple[StoredEntry, ...]:
    rows = connection.execute(select(admin_entries).order_by(admin_entries.c.position))
    return tuple(StoredEntry(kind=row.kind, name=row.name, body=json.loads(row.body)) for row in rows)


class EntryTable:
    """Entries by kind and name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[StoredEntry, ...]:
        """In the order in which they were first set."""
        return await self._database.read(_entries)

    async def put(self, entry: StoredEntry) -> None:
        """Set one, or replace it in its place."""
        body = json.dumps(entry.body)
        row = insert(admin_entries).values(kind=entry.kind, name=entry.name, body=body)
        await self._write(row.on_conflict_do_update(index_elements=["kind", "name"], set_={"body": body}))

    async def drop(self, kind: str, name: str) -> None:
        """Forget one."""
        await self._write(delete(admin_entries).where(admin_entries.c.kind == kind, admin_entries.c.name == name))

    async def _write(self, statement: Executable) -> None:
        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work)


BEGUN = 0
"""In the place of the status of a change of which it is not known whether it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """One thing that a program has done."""

    at: float
    """Seconds since 1970 UTC."""
    who: str
    """The name of its token."""
    action: str
    """Method and kind of resource: `PUT /numbers/{number}`."""
    subject: str
    """Which one: a number, a user, a name."""
    body: str
    """What was sent, as JSON, or nothing."""
    status: int
    """What it was answered, by the codes of HTTP; `BEGUN` while it is not, or when the process died before."""


class ChangeTable:
    """The trail, the newest last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, change: StoredChange) -> int:
        """Note one, and let go of what is too old; gives its position."""
        values = {name: getattr(change, name) for name in StoredChange.__slots__}
        newest = select(func.max(admin_changes.c.position)).scalar_subquery()

        def work(connection: Connection) -> int:
            position = connection.execute(
                insert(admin_changes).values(values).returning(admin_changes.c.position)
            ).scalar_one()
            connection.execute(delete(admin_changes).where(admin_changes.c.position <= newest - CHANGES_KEPT))
            return int(position)

        return await self._database.write(work)

    async def finish(self, position: int, status: int) -> None:
        """Note what came of one."""
        statement = update(admin_changes).where(admin_changes.c.position == position).values(status=status)

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work)

    async def last(self, *, before: int | None, limit: int) -> tuple[tuple[int, StoredChange], ...]:
        """The newest first, each with its position; `before` pages on."""
        statement = select(admin_changes).order_by(admin_changes.c.position.desc()).limit(limit)
        if before is not None:
            statement = statement.where(admin_changes.c.position < before)

        def work(connection: Connection) -> tuple[tuple[int, StoredChange], ...]:
            return tuple(
                (row.position, StoredChange(**{name: getattr(row, name) for name in StoredChange.__slots__}))
                for row in connection.execute(statement)
            )

        return await self._database.read(work)
