"""Transactions and events received: on disk before they are acknowledged, worked on once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import EventId, RoomId
from bridge.store.database import Database
from bridge.store.tables import dead_letters, events, transactions

_MAX_DEAD_LETTER = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to store, its body as JSON text."""

    event_id: EventId
    room_id: RoomId
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event that waits to be worked on."""

    position: int
    event_id: EventId
    room_id: RoomId
    body: str
    received_at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Something that could not be handled, and why."""

    reason: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransaction:
    """What one delivery brought. `body_hash` covers what does not change when a homeserver repeats it."""

    token_fingerprint: str
    txn_id: str
    body_hash: str
    events: tuple[NewEvent, ...]
    dead_letters: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was new in a transaction; `replay` when the same transaction had been acknowledged before."""

    replay: bool
    events: tuple[StoredEvent, ...] = ()


class Inbox:
    """The queue between the homeserver and the calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, transaction: NewTransaction, *, now: float) -> Accepted:
        """Store a transaction and its unseen events in one durable commit.

        The transaction id only saves work: ids restart at 1 when a homeserver loses its database, so an id that is
        known with other events must not hide them. The event ids decide.
        """
        return await self._database.write(lambda connection: _accept(connection, transaction, now))

    async def add(self, new: Sequence[NewEvent], *, now: float) -> tuple[StoredEvent, ...]:
        """Store events that were read from a room's history; returns those nobody has claimed, in the order given.

        Also those that were seen before: work that was broken off can be repeated with the same events.
        """
        return await self._database.write(lambda connection: _add(connection, new, now), durable=False)

    async def claim(self, position: int) -> bool:
        """Take an event for good; `False` when it has been taken before. Its body is forgotten."""
        statement = update(events).where(events.c.position == position, events.c.claimed.is_(False))

        def work(connection: Connection) -> bool:
            return connection.execute(statement.values(claimed=True, body="")).rowcount == 1

        return await self._database.write(work, durable=False)

    async def bury(self, letter: DeadLetter, *, now: float) -> None:
        """Keep what failed, once."""
        await self._database.write(lambda connection: _bury(connection, (letter,), now), durable=False)

    async def waiting(self, room_id: RoomId, *, limit: int) -> tuple[StoredEvent, ...]:
        """The next events of a room that nobody has claimed, oldest first."""
        statement = (
            select(events)
            .where(events.c.room_id == room_id, events.c.claimed.is_(False))
            .order_by(events.c.position)
            .limit(limit)
        )

        def work(connection: Connection) -> tuple[StoredEvent, ...]:
            return tuple(_stored(row) for row in connection.execute(statement))

        return await self._database.read(work)

    async def rooms_waiting(self, *, limit: int) -> tuple[RoomId, ...]:
        """Rooms that have events which nobody has claimed."""
        statement = select(events.c.room_id).where(events.c.claimed.is_(False)).distinct().limit(limit)
        return await self._database.read(lambda connection: tuple(connection.execute(statement).scalars()))

    async def prune(self, *, before: float) -> None:
        """Forget transactions, finished events and dead letters that are older than `before`."""

        def work(connection: Connection) -> None:
            connection.execute(delete(transactions).where(transactions.c.received_at < before))
            connection.execute(delete(events).where(events.c.received_at < before, events.c.claimed.is_(True)))
            connection.execute(delete(dead_letters).where(dead_letters.c.received_at < before))

        await self._database.write(work, durable=False)


def _accept(connection: Connection, transaction: NewTransaction, now: float) -> Accepted:
    # A transaction id is opaque and may be long: its hash is the key.
    key = {
        "token_fingerprint": transaction.token_fingerprint,
        "txn_key": hashlib.sha256(transaction.txn_id.encode(errors="surrogatepass")).hexdigest(),
    }
    known = connection.execute(select(transactions.c.body_hash).filter_by(**key)).scalar()
    if known == transaction.body_hash:
        return Accepted(replay=True)
    values = {"body_hash": transaction.body_hash, "received_at": now}
    statement = insert(transactions).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
    _bury(connection, transaction.dead_letters, now)
    return Accepted(replay=False, events=_insert(connection, transaction.events, now))


def _insert(connection: Connection, new: Sequence[NewEvent], now: float) -> tuple[StoredEvent, ...]:
    if not new:
        return ()
    rows = [{"event_id": e.event_id, "room_id": e.room_id, "body": e.body, "received_at": now} for e in new]
    statement = insert(events).on_conflict_do_nothing(index_elements=["event_id"])
    inserted = connection.execute(statement.returning(events.c.position, events.c.event_id), rows)
    by_id = {event.event_id: event for event in reversed(new)}
    return tuple(
        StoredEvent(
            position=position,
            event_id=event_id,
            room_id=by_id[event_id].room_id,
            body=by_id[event_id].body,
            received_at=now,
        )
        for position, event_id in sorted((row.position, row.event_id) for row in inserted)
    )


def _add(connection: Connection, new: Sequence[NewEvent], now: float) -> tuple[StoredEvent, ...]:
    _insert(connection, new, now)
    # An event's place is that of the history: a transaction may have brought a later one before an earlier one.
    order = tuple(dict.fromkeys(event.event_id for event in new))
    statement = select(events).where(events.c.event_id.in_(order), events.c.claimed.is_(False))
    unclaimed = {row.event_id: _stored(row) for row in connection.execute(statement)}
    return tuple(unclaimed[event_id] for event_id in order if event_id in unclaimed)


def _stored(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        position=row.position,
        event_id=row.event_id,
        room_id=row.room_id,
        body=row.body,
        received_at=row.received_at,
    )


def _bury(connection: Connection, letters: Sequence[DeadLetter], now: float) -> None:
    for letter in letters:
        fingerprint = hashlib.sha256(letter.body.encode(errors="surrogatepass")).hexdigest()
        body = letter.body.encode(errors="replace").decode()[:_MAX_DEAD_LETTER]
        statement = insert(dead_letters).values(
            fingerprint=fingerprint, reason=letter.reason, body=body, received_at=now
        )
        connection.execute(statement.on_conflict_do_nothing(index_elements=["fingerprint"]))
