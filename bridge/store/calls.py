"""Calls that are going on, and calls that are over."""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import CallId, MatrixCallId, RoomId
from bridge.store.database import Database
from bridge.store.tables import calls, ended_calls


class ActiveCalls:
    """Snapshots of the calls, so that the next process can end or continue what this one began."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, call_id: CallId, snapshot: str) -> None:
        """Store or replace a snapshot.

        It does not wait for the disk, for nothing else waits for it: the sooner it is there, the fewer calls a killed
        process takes with it. After a power cut the last moments may be missing.
        """
        statement = insert(calls).values(call_id=call_id, snapshot=snapshot)
        statement = statement.on_conflict_do_update(index_elements=["call_id"], set_={"snapshot": snapshot})

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work, durable=False)

    async def delete(self, call_id: CallId) -> None:
        """Forget a call that has ended; ending it twice after a power cut does no harm."""

        def work(connection: Connection) -> None:
            connection.execute(delete(calls).where(calls.c.call_id == call_id))

        await self._database.write(work, durable=False)

    async def all(self) -> dict[CallId, str]:
        """Every snapshot."""

        def work(connection: Connection) -> dict[CallId, str]:
            return {row.call_id: row.snapshot for row in connection.execute(select(calls))}

        return await self._database.read(work)


class EndedCalls:
    """Tombstones: a late `m.call.invite` of a call that is over must not ring anybody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, room_id: RoomId, matrix_call_id: MatrixCallId, *, now: float) -> None:
        """Note that a Matrix call is over."""
        statement = insert(ended_calls).values(room_id=room_id, matrix_call_id=matrix_call_id, ended_at=now)

        def work(connection: Connection) -> None:
            connection.execute(statement.on_conflict_do_nothing())

        await self._database.write(work, durable=False)

    async def since(self, oldest: float) -> dict[tuple[RoomId, MatrixCallId], float]:
        """The calls that ended after `oldest`, with the time, for a memory that starts anew."""
        statement = select(ended_calls).where(ended_calls.c.ended_at >= oldest)

        def work(connection: Connection) -> dict[tuple[RoomId, MatrixCallId], float]:
            return {(row.room_id, row.matrix_call_id): row.ended_at for row in connection.execute(statement)}

        return await self._database.read(work)

    async def prune(self, *, before: float) -> None:
        """Forget what ended before `before`."""

        def work(connection: Connection) -> None:
            connection.execute(delete(ended_calls).where(ended_calls.c.ended_at < before))

        await self._database.write(work, durable=False)
