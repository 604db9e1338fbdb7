"""Events to send: on disk before they are sent, with the transaction id that makes a repetition harmless."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import EventId, RoomId, UserId
from bridge.store.database import Database
from bridge.store.tables import outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSend:
    """One event to send to a room, its content as JSON text."""

    txn_id: str
    room_id: RoomId
    sender: UserId
    event_type: str
    content: str
    created_at: float
    give_up_at: float
    """Seconds since 1970 after which sending it would only confuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSend:
    """A send that has its place in the order of its room."""

    position: int
    send: NewSend


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """What became of a send: `event_id` once accepted, `pending` while undecided, else it failed."""

    pending: bool
    event_id: EventId | None = None


class Outbox:
    """The queue between us and the homeserver."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, send: NewSend) -> StoredSend | None:
        """Store a send durably; `None` when its transaction id is known, and nothing was stored."""
        statement = insert(outbox).values(
            txn_id=send.txn_id,
            room_id=send.room_id,
            sender=send.sender,
            event_type=send.event_type,
            content=send.content,
            created_at=send.created_at,
            give_up_at=send.give_up_at,
        )
        statement = statement.on_conflict_do_nothing(index_elements=["txn_id"])

        def work(connection: Connection) -> StoredSend | None:
            position = connection.execute(statement.returning(outbox.c.position)).scalar()
            return None if position is None else StoredSend(position=position, send=send)

        return await self._database.write(work)

    async def finish(self, txn_id: str, event_id: EventId | None) -> bool:
        """Note that a send was accepted as `event_id`, or given up, and forget its content. `True` if it was undecided.

        What was withdrawn while it was on its way, and was accepted all the same, counts as accepted.
        """
        statement = update(outbox).where(outbox.c.txn_id == txn_id)
        values = {"outcome": "sent" if event_id else "failed", "event_id": event_id or "", "content": ""}

        def work(connection: Connection) -> bool:
            if connection.execute(statement.where(outbox.c.outcome == "pending").values(**values)).rowcount:
                return True
            if event_id:
                connection.execute(statement.values(**values))
            return False

        # Lost in a power cut, it is sent once more with the same id, which the homeserver recognises.
        return await self._database.write(work, durable=False)

    async def withdraw(self, txn_id: str) -> bool:
        """Give up a send, so that no later process tries it either. `True` if it was undecided."""
        statement = update(outbox).where(outbox.c.txn_id == txn_id, outbox.c.outcome == "pending")

        def work(connection: Connection) -> bool:
            return bool(connection.execute(statement.values(outcome="failed", content="")).rowcount)

        return await self._database.write(work)

    async def outcome(self, txn_id: str) -> SendOutcome | None:
        """What became of a send; `None` when it was never stored."""
        statement = select(outbox.c.outcome, outbox.c.event_id).where(outbox.c.txn_id == txn_id)

        def work(connection: Connection) -> SendOutcome | None:
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            return SendOutcome(pending=row.outcome == "pending", event_id=row.event_id or None)

        return await self._database.read(work)

    async def waiting(self, room_id: RoomId, *, limit: int) -> tuple[StoredSend, ...]:
        """The next sends of a room that are undecided, oldest first."""
        statement = (
            select(outbox)
            .where(outbox.c.room_id == room_id, outbox.c.outcome == "pending")
            .order_by(outbox.c.position)
            .limit(limit)
        )

        def work(connection: Connection) -> tuple[StoredSend, ...]:
            return tuple(StoredSend(position=row.position, send=_send(row)) for row in connection.execute(statement))

        return await self._database.read(work)

    async def rooms_waiting(self, *, limit: int) -> tuple[RoomId, ...]:
        """Rooms that have undecided sends."""
        statement = select(outbox.c.room_id).where(outbox.c.outcome == "pending").distinct().limit(limit)
        return await self._database.read(lambda connection: tuple(connection.execute(statement).scalars()))

    async def depth(self) -> int:
        """How many sends are undecided."""
        statement = select(func.count()).select_from(outbox).where(outbox.c.outcome == "pending")
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def prune(self, *, before: float) -> None:
        """Forget decided sends that are older than `before`."""
        statement = delete(outbox).where(outbox.c.created_at < before, outbox.c.outcome != "pending")

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work, durable=False)


def _send(row: Row[Any]) -> NewSend:
    return NewSend(
        txn_id=row.txn_id,
        room_id=row.room_id,
        sender=row.sender,
        event_type=row.event_type,
        content=row.content,
        created_at=row.created_at,
        give_up_at=row.give_up_at,
    )
