"""What the database has about one person, to be handed out or erased (GDPR, articles 15 and 17).

For a command beside the bridge, so it blocks. It may be read while the bridge runs, and erased only while it does not:
a bridge has settings and messages in memory, and would write them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, func, inspect, select

from bridge.core.ids import UserId
from bridge.store.beside import open_beside
from bridge.store.lock import DatabaseLock
from bridge.store.tables import (
    admin_changes,
    blocked_numbers,
    dead_letters,
    forwarded_calls,
    ghost_rooms,
    messages,
    outbox,
    own_names,
    past_calls,
    portals,
    sent_texts,
    spending,
    suspensions,
    user_settings,
)
from bridge.store.upgrade import upgrade_database

_ERASED: tuple[tuple[Table, Column[str]], ...] = (
    (user_settings, user_settings.c.user_id),
    (blocked_numbers, blocked_numbers.c.user_id),
    (own_names, own_names.c.user_id),
    (past_calls, past_calls.c.user_id),
    (messages, messages.c.user_id),
    (portals, portals.c.user_id),
    (ghost_rooms, ghost_rooms.c.peer),
)
_KEPT: tuple[tuple[Table, Column[str]], ...] = (
    (spending, spending.c.account),
    (suspensions, suspensions.c.user_id),
    (forwarded_calls, forwarded_calls.c.user_id),
    (sent_texts, sent_texts.c.user_id),
    (admin_changes, admin_changes.c.subject),
)
"""Handed out and not erased: limits and suspensions must not end by it, nor does the trail of those who administer the
bridge. They are forgotten in their own time."""

Row = Mapping[str, Any]


def personal_rows(path: Path, user: UserId) -> dict[str, Sequence[Row]]:
    """Every row about a user, by table. Raises :class:`StoreError`.

    A bridge of the version before may have the file open, which has less to tell then.
    """
    if not path.exists():
        return {}
    with open_beside(path) as connection:
        there = inspect(connection).get_table_names()
        return {
            table.name: [dict(row) for row in connection.execute(select(table).where(owner == user)).mappings()]
            for table, owner in (*_ERASED, *_KEPT)
            if table.name in there
        }


def erase_rows(path: Path, user: UserId) -> dict[str, int]:
    """Erase a user, and say how many rows of which table it were. Raises :class:`StoreError`, also while a bridge runs.

    What the file had is overwritten (`secure_delete`), so that nothing of it can be found in free pages.
    """
    if not path.exists():
        return {}
    lock = DatabaseLock(path)
    try:
        upgrade_database(path)
        with open_beside(path) as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            erased = dict(_erase(connection, user))
            connection.commit()
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased
    finally:
        lock.release()


def _erase(connection: Connection, user: UserId) -> Iterator[tuple[str, int]]:
    rooms = select(portals.c.room_id).where(portals.c.user_id == user)
    sent = delete(outbox).where(outbox.c.outcome != "pending", outbox.c.room_id.in_(rooms))
    yield outbox.name, connection.execute(sent).rowcount
    unread = delete(dead_letters).where(func.instr(dead_letters.c.body, user) > 0)
    yield dead_letters.name, connection.execute(unread).rowcount
    for table, owner in _ERASED:
        yield table.name, connection.execute(delete(table).where(owner == user)).rowcount
