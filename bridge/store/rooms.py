"""Ghosts the homeserver knows, rooms they are in, and portals."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Row, delete, literal_column, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import RoomId, UserId
from bridge.store.database import Database
from bridge.store.tables import ghost_rooms, ghosts, notices, portals


async def _execute(database: Database, statement: Executable) -> None:
    """All of this can be learned again from the homeserver, so no commit here waits for the disk."""

    def work(connection: Connection) -> None:
        connection.execute(statement)

    await database.write(work, durable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGhost:
    """A registered ghost and its names."""

    user_id: UserId
    display_name: str
    """The one that was set last."""
    caller_name: str = ""
    """The one that came with the number's last call."""
    avatar: str = ""
    """Which picture was set last: its `mxc:` URI, or a hash of one out of the address book."""


class GhostTable:
    """Users of ours that are registered, with their display names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UserId) -> StoredGhost | None:
        """What is known of a ghost; `None` when it is not registered."""
        statement = select(ghosts).where(ghosts.c.user_id == user_id)

        def work(connection: Connection) -> StoredGhost | None:
            row = connection.execute(statement).one_or_none()
            return None if row is None else _ghost(row)

        return await self._database.read(work)

    async def after(self, user_id: str, *, limit: int) -> tuple[StoredGhost, ...]:
        """The next ghosts in the order of their ids, to go through all of them."""
        statement = select(ghosts).where(ghosts.c.user_id > user_id).order_by(ghosts.c.user_id).limit(limit)
        return await self._database.read(lambda connection: tuple(_ghost(row) for row in connection.execute(statement)))

    async def put(self, ghost: StoredGhost) -> None:
        """Remember a ghost as it is now."""
        looks = {"display_name": ghost.display_name, "caller_name": ghost.caller_name, "avatar": ghost.avatar}
        statement = insert(ghosts).values(user_id=ghost.user_id, **looks)
        await _execute(self._database, statement.on_conflict_do_update(index_elements=["user_id"], set_=looks))


def _ghost(row: Row[Any]) -> StoredGhost:
    return StoredGhost(
        user_id=UserId(row.user_id), display_name=row.display_name, caller_name=row.caller_name, avatar=row.avatar
    )


class GhostRooms:
    """Which ghost has joined which room."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, room_id: RoomId, user_id: UserId, *, peer: str = "") -> None:
        """Note a room, and where it is known whom the ghost is there for; what is known is not unlearned."""
        statement = insert(ghost_rooms).values(room_id=room_id, user_id=user_id, peer=peer)
        if peer:
            statement = statement.on_conflict_do_update(index_elements=["room_id", "user_id"], set_={"peer": peer})
        else:
            statement = statement.on_conflict_do_nothing()
        await _execute(self._database, statement)

    async def drop(self, room_id: RoomId, user_id: UserId) -> None:
        matches = (ghost_rooms.c.room_id == room_id, ghost_rooms.c.user_id == user_id)
        await _execute(self._database, delete(ghost_rooms).where(*matches))

    async def ghosts_in(self, room_id: RoomId) -> tuple[UserId, ...]:
        """Users of ours in a room."""
        statement = select(ghost_rooms.c.user_id).where(ghost_rooms.c.room_id == room_id)
        return await self._database.read(lambda connection: tuple(connection.execute(statement).scalars()))

    async def rooms_with(self, user_id: UserId, peer: UserId, *, limit: int) -> tuple[RoomId, ...]:
        """Rooms in which a ghost is for the sake of `peer`, the newest first."""
        statement = (
            select(ghost_rooms.c.room_id)
            .where(ghost_rooms.c.user_id == user_id, ghost_rooms.c.peer == peer)
            .order_by(literal_column("rowid").desc())
            .limit(limit)
        )
        return await self._database.read(lambda connection: tuple(connection.execute(statement).scalars()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPortal:
    """The room in which a user and a ghost call each other."""

    user_id: UserId
    ghost: UserId
    room_id: RoomId


class PortalTable:
    """Portals by user and ghost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def room(self, user_id: UserId, ghost: UserId) -> RoomId | None:
        statement = select(portals.c.room_id).where(portals.c.user_id == user_id, portals.c.ghost == ghost)
        return await self._database.read(lambda connection: connection.execute(statement).scalar())

    async def any_ghost(self, user_id: UserId) -> UserId | None:
        """Somebody who shares a room with a user."""
        statement = select(portals.c.ghost).where(portals.c.user_id == user_id).limit(1)
        return await self._database.read(lambda connection: connection.execute(statement).scalar())

    async def in_room(self, room_id: RoomId) -> tuple[StoredPortal, ...]:
        """The portals that a room is."""
        statement = select(portals).where(portals.c.room_id == room_id)

        def work(connection: Connection) -> tuple[StoredPortal, ...]:
            rows = connection.execute(statement)
            return tuple(StoredPortal(user_id=row.user_id, ghost=row.ghost, room_id=row.room_id) for row in rows)

        return await self._database.read(work)

    async def put(self, portal: StoredPortal) -> None:
        """Remember a portal, in the place of an older one of the same two."""
        statement = insert(portals).values(user_id=portal.user_id, ghost=portal.ghost, room_id=portal.room_id)
        update = {"room_id": portal.room_id}
        await _execute(
            self._database, statement.on_conflict_do_update(index_elements=["user_id", "ghost"], set_=update)
        )

    async def drop(self, user_id: UserId, ghost: UserId) -> None:
        await _execute(self._database, delete(portals).where(portals.c.user_id == user_id, portals.c.ghost == ghost))

    async def drop_room(self, room_id: RoomId) -> None:
        """A room can no longer be a portal: it was upgraded or encrypted."""
        await _execute(self._database, delete(portals).where(portals.c.room_id == room_id))


class NoticeTable:
    """What has been explained in which room."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, room_id: RoomId, topic: str) -> bool:
        """Whether `topic` is still to be explained in a room; from now on it counts as said."""
        statement = insert(notices).values(room_id=room_id, topic=topic).on_conflict_do_nothing()

        def work(connection: Connection) -> bool:
            return connection.execute(statement.returning(notices.c.topic)).scalar() is not None

        return await self._database.write(work)
