"""Trunks that an operator has taken out of service, which they stay over a restart."""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import TrunkName
from bridge.store.database import Database
from bridge.store.tables import trunks_out


class TrunksOut:
    """Names of trunks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> frozenset[TrunkName]:
        """All that are out of service, those that the configuration no longer has included."""

        def work(connection: Connection) -> frozenset[TrunkName]:
            return frozenset(TrunkName(row.trunk) for row in connection.execute(select(trunks_out)))

        return await self._database.read(work)

    async def put(self, trunk: TrunkName) -> None:
        """Take one out of service."""
        statement = insert(trunks_out).values(trunk=trunk).on_conflict_do_nothing()

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work)

    async def drop(self, trunk: TrunkName) -> None:
        """Put one back."""

        def work(connection: Connection) -> None:
            connection.execute(delete(trunks_out).where(trunks_out.c.trunk == trunk))

        await self._database.write(work)
