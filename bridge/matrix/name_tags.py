"""What one user calls a number, shown to that user alone: the ghost's name in their portal, and in no other room.

A member's `displayname` may differ from the profile (specification, `m.room.member`). A change of the profile
overwrites it in every room, so it is looked at again before each call and after the address book has changed.
"""

import structlog

from bridge.core.ids import RoomId, UserId
from bridge.core.pii import Pii
from bridge.matrix.client import Client
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import MatrixError
from bridge.store import Store

_log = structlog.get_logger()

_MEMBER = "m.room.member"


class NameTags:
    """Never fails a call: without its name a phone rings all the same."""

    def __init__(self, *, names: GhostNames, store: Store, client: Client) -> None:
        self._names = names
        self._store = store
        self._client = client

    async def show(self, user: UserId, ghost: UserId, room_id: RoomId) -> None:
        """Where the user has a name for this ghost's number, let it be the one in the room."""
        own = await self._store.own_names.get(user, self._names.number(ghost) or "")
        if own:
            await self._set(room_id, ghost, own)

    async def change(self, user: UserId, ghost: UserId) -> None:
        """The user has just named a number, or has no name for it any more; of a room to come it is told later."""
        room_id = await self._store.portals.room(user, ghost)
        if room_id is None:
            return
        own = await self._store.own_names.get(user, self._names.number(ghost) or "")
        stored = await self._store.ghosts.get(ghost)
        if name := own or (stored.display_name if stored else ""):
            await self._set(room_id, ghost, name)

    async def _set(self, room_id: RoomId, ghost: UserId, name: str) -> None:
        try:
            member = await self._client.state(room_id, ghost, _MEMBER, ghost) or {}
            if member.get("membership") == "join" and member.get("displayname") != name:
                await self._client.set_state(room_id, ghost, _MEMBER, {**member, "displayname": name}, ghost)
        except MatrixError as error:
            _log.warning("own_name_not_shown", ghost=Pii(ghost), room_id=room_id, reason=error.errcode)
