"""Portals: the room in which a phone's ghost calls a user, found again or made."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from bridge.core.clock import Clock
from bridge.core.ids import RoomId, UserId
from bridge.core.pii import Pii
from bridge.matrix.client import Client
from bridge.matrix.events import Json
from bridge.matrix.ghosts import Ghosts
from bridge.matrix.link import MatrixError
from bridge.matrix.locks import KeyedLocks
from bridge.matrix.name_tags import NameTags
from bridge.matrix.puppets import Puppets
from bridge.matrix.rooms import Rooms
from bridge.store import Store
from bridge.store.rooms import StoredPortal

_log = structlog.get_logger()

_EVENT_LEVELS: Mapping[str, int] = {
    "m.room.name": 100,
    "m.room.avatar": 100,
    "m.room.canonical_alias": 100,
    "m.room.power_levels": 100,
    "m.room.history_visibility": 100,
    "m.room.encryption": 100,
    "m.room.server_acl": 100,
    "m.room.tombstone": 100,
    "m.call.invite": 0,
    "m.call.candidates": 0,
    "m.call.answer": 0,
    "m.call.hangup": 0,
    # Nobody could answer a MatrixRTC call here, so clients must not offer one.
    "org.matrix.msc3401.call": 100,
    "org.matrix.msc3401.call.member": 100,
    "m.rtc.slot": 100,
}
"""This map takes the place of the homeserver's own as a whole, so the usual entries are in it."""


_MAX_ROOMS_ASKED = 5
_ENCRYPTED_PAUSE_S = 600.0
"""How long no room is made on a homeserver that encrypts all of them; then its settings may have changed."""

_FIRST_VERSION_OF_POWERFUL_CREATORS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """Where a ghost can call a user; one who has not joined yet cannot be rung."""

    room_id: RoomId
    ghost: UserId
    user_joined: bool


class Portals:
    """Finds and makes portals. Raises :class:`bridge.matrix.link.MatrixError` when that is impossible."""

    def __init__(
        self,
        *,
        ghosts: Ghosts,
        rooms: Rooms,
        puppets: Puppets,
        name_tags: NameTags,
        store: Store,
        client: Client,
        clock: Clock,
    ) -> None:
        self._ghosts = ghosts
        self._rooms = rooms
        self._puppets = puppets
        self._name_tags = name_tags
        self._store = store
        self._client = client
        self._locks = KeyedLocks()
        self._clock = clock
        self._encrypted_until = 0.0
        self._creators_have_power: bool | None = None
        """`None` while the homeserver has not told, neither in words nor by making a room."""

    async def portal(self, *, user: UserId, ghost: UserId, caller_name: str = "") -> Portal:
        """The portal of a user and a ghost, made when there is none."""
        async with self._locks.hold(f"{user} {ghost}"):
            await self._ghosts.ensure(ghost, caller_name=caller_name)
            room_id = await self._stored(user, ghost) or await self._found(user, ghost)
            if room_id is None:
                room_id = await self._create(user, ghost)
            await self._name_tags.show(user, ghost, room_id)
        user_joined = user in await self._rooms.members(room_id)
        if not user_joined and await self._puppets.bring_in(user, room_id, ghost):
            self._rooms.person_joined(room_id, user)
            user_joined = True
        return Portal(room_id=room_id, ghost=ghost, user_joined=user_joined)

    async def _stored(self, user: UserId, ghost: UserId) -> RoomId | None:
        room_id = await self._store.portals.room(user, ghost)
        if room_id is None or await self._usable(room_id, user, ghost):
            return room_id
        await self._store.portals.drop(user, ghost)
        return None

    async def _found(self, user: UserId, ghost: UserId) -> RoomId | None:
        """A room of just these two, made by the user's client; the homeserver is asked about a few at most."""
        for room_id in await self._store.rooms.rooms_with(ghost, user, limit=_MAX_ROOMS_ASKED):
            if await self._usable(room_id, user, ghost, joined=True):
                await self._store.portals.put(StoredPortal(user_id=user, ghost=ghost, room_id=room_id))
                return room_id
        return None

    async def _usable(self, room_id: RoomId, user: UserId, ghost: UserId, *, joined: bool = False) -> bool:
        """Whether the ghost can call the user there, now or (unless `joined`) once the user accepts the invitation."""
        try:
            # At once, for while a homeserver is slow the phone waits for all of them.
            members, encrypted, public = await asyncio.gather(
                self._rooms.members(room_id), self._rooms.is_encrypted(room_id), self._rooms.is_public(room_id)
            )
            if encrypted or public or ghost not in members or members - {user, ghost}:
                return False
            # A portal that we know is forgotten by the event of its replacement.
            if joined and await self._rooms.is_replaced(room_id):
                return False
            return user in members or (not joined and await self._rooms.is_expected(room_id, user))
        except MatrixError as error:
            if error.temporary:
                raise
            return False

    async def _create(self, user: UserId, ghost: UserId) -> RoomId:
        self._refuse_where_all_is_encrypted()
        room_id = await self._create_room(user, ghost)
        await self._rooms.ghost_joined(room_id, ghost, peer=user)
        await self._refuse_encrypted(room_id, ghost)
        await self._store.portals.put(StoredPortal(user_id=user, ghost=ghost, room_id=room_id))
        _log.info("portal_created", room_id=room_id, user=Pii(user), ghost=Pii(ghost))
        return room_id

    def _refuse_where_all_is_encrypted(self) -> None:
        if self._clock.monotonic() < self._encrypted_until:
            raise MatrixError("M_ENCRYPTED", "the homeserver encrypts every room that is made", status=403)

    async def _refuse_encrypted(self, room_id: RoomId, ghost: UserId) -> None:
        """A homeserver may encrypt whatever is made on it: no call can be carried there, so no pile of rooms is left.

        Asked afresh: a homeserver adds its encryption while it makes the room, and its event comes later.
        """
        if not await self._rooms.is_encrypted(room_id):
            return
        self._encrypted_until = self._clock.monotonic() + _ENCRYPTED_PAUSE_S
        _log.error("homeserver_encrypts_all_rooms", setting="encryption_enabled_by_default_for_room_type")
        await self._client.leave(room_id, ghost)
        await self._rooms.ghost_left(room_id, ghost)
        self._refuse_where_all_is_encrypted()

    async def _create_room(self, user: UserId, ghost: UserId) -> RoomId:
        powerful = await self._creator_has_power()
        try:
            return await self._client.create_room(ghost, _room(user, ghost, creator_listed=not powerful))
        except MatrixError as error:
            if error.status != 400:
                raise
            # What was told may have changed since; the next room asks again.
            self._creators_have_power = None
            if powerful is not None:
                raise
        # The creator must not be listed from room version 12 on, and not every homeserver says what it makes. But 400
        # has other reasons too (a server of the invited that does not know the version), so only a room proves it.
        room_id = await self._client.create_room(ghost, _room(user, ghost, creator_listed=False))
        self._creators_have_power = True
        return room_id

    async def _creator_has_power(self) -> bool | None:
        """Whether rooms are made in a version (12 and later) in which the creator stands above all power levels."""
        if self._creators_have_power is None:
            version = await self._client.default_room_version()
            if version.isdecimal():
                self._creators_have_power = int(version) >= _FIRST_VERSION_OF_POWERFUL_CREATORS
        return self._creators_have_power


def _room(user: UserId, ghost: UserId, *, creator_listed: bool) -> Json:
    """A direct room without a name, so that clients show the ghost's, and without encryption."""
    visibility = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "invited"}}
    return {
        "preset": "private_chat",
        "visibility": "private",
        "is_direct": True,
        "invite": [user],
        "initial_state": [visibility],
        "power_level_content_override": {
            "users": {ghost: 100} if creator_listed else {},
            "users_default": 0,
            "events": dict(_EVENT_LEVELS),
        },
    }
