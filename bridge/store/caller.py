"""What is written down about whoever would call out, for a command beside the bridge."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, inspect, select

from bridge.core.ids import TrunkName, UserId
from bridge.store.beside import open_beside
from bridge.store.spending import StoredUse
from bridge.store.tables import spending, suspensions, trunks_out, user_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCaller:
    """A user's own setting and suspension, what everybody has used, and the trunks that are out of service."""

    withheld: bool | None = None
    suspended_until: float | None = None
    """In seconds since 1970; perhaps over."""
    uses: tuple[StoredUse, ...] = ()
    trunks_out: frozenset[TrunkName] = frozenset()


def stored_caller(path: Path, user: UserId, *, since: str) -> StoredCaller:
    """What is used since a day (ISO 8601), and the rest as it is; nothing where no bridge has been.

    The bridge may run. One of an earlier version knows of less, and what is used of a shared limit is there twice until
    it is upgraded. Raises `StoreError`.
    """
    if not path.exists():
        return StoredCaller()
    with open_beside(path) as connection:
        there = frozenset(inspect(connection).get_table_names())
        return StoredCaller(
            withheld=_withheld(connection, user) if _has(there, user_settings) else None,
            suspended_until=_suspended_until(connection, user) if _has(there, suspensions) else None,
            uses=_uses(connection, since) if _has(there, spending) else (),
            trunks_out=_trunks_out(connection) if _has(there, trunks_out) else frozenset(),
        )


def _has(there: frozenset[str], table: Table) -> bool:
    return table.name in there


def _withheld(connection: Connection, user: UserId) -> bool | None:
    found = select(user_settings.c.withheld).where(user_settings.c.user_id == user)
    return connection.execute(found).scalar()


def _suspended_until(connection: Connection, user: UserId) -> float | None:
    found = select(suspensions.c.until).where(suspensions.c.user_id == user)
    return connection.execute(found).scalar()


def _uses(connection: Connection, since: str) -> tuple[StoredUse, ...]:
    rows = connection.execute(select(spending).where(spending.c.day >= since))
    return tuple(StoredUse(account=row.account, day=row.day, seconds=row.seconds, cost=row.cost) for row in rows)


def _trunks_out(connection: Connection) -> frozenset[TrunkName]:
    return frozenset(TrunkName(row.trunk) for row in connection.execute(select(trunks_out)))
