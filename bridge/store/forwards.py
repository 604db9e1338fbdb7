"""The calls that were forwarded lately: whoever limits them must know of those before a restart."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import UserId
from bridge.store.database import Database
from bridge.store.tables import forwarded_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredForward:
    """A call that a trunk was asked to make for a user."""

    user_id: UserId
    caller: str
    """Canonical; empty where no number was shown."""
    at: float
    """Seconds since 1970."""


class ForwardTable:
    """In the order in which they were forwarded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, forward: StoredForward) -> None:
        """Note one."""
        row = insert(forwarded_calls).values(user_id=forward.user_id, caller=forward.caller, at=forward.at)

        def work(connection: Connection) -> None:
            connection.execute(row)

        await self._database.write(work)

    async def since(self, at: float, *, limit: int) -> tuple[StoredForward, ...]:
        """Those after a moment, the last `limit` of them."""
        newest = forwarded_calls.c.position.desc()
        statement = select(forwarded_calls).where(forwarded_calls.c.at > at).order_by(newest).limit(limit)

        def work(connection: Connection) -> tuple[StoredForward, ...]:
            rows = connection.execute(statement).all()
            return tuple(
                StoredForward(user_id=UserId(row.user_id), caller=row.caller, at=row.at) for row in reversed(rows)
            )

        return await self._database.read(work)

    async def prune(self, *, before: float, after: float) -> None:
        """Forget those that no limit counts any more, and those of the time to come, by a clock that was wrong."""
        at = forwarded_calls.c.at

        def work(connection: Connection) -> None:
            connection.execute(delete(forwarded_calls).where(or_(at < before, at > after)))

        await self._database.write(work, durable=False)
