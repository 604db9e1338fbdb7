"""What cannot be bridged in a room is said there once, with what to do instead.

Messages of an encrypted room cannot be read, and a MatrixRTC call (Element Call) has no telephone at its other end. The
clients offer both all the same.
"""

import structlog

from bridge.core.ids import RoomId, UserId
from bridge.matrix.call_content import notice
from bridge.matrix.events import RoomEvent
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import MatrixError
from bridge.matrix.portals import Portals
from bridge.matrix.rooms import Rooms
from bridge.matrix.sender import Sender
from bridge.store import Store

_log = structlog.get_logger()

_ENCRYPTED = "encrypted"
_GROUP_CALL = "group_call"

_TOPICS = {
    "m.room.encryption": _ENCRYPTED,
    "m.room.encrypted": _ENCRYPTED,
    "org.matrix.msc3401.call.member": _GROUP_CALL,
    "m.call.member": _GROUP_CALL,
    "org.matrix.msc4143.rtc.member": _GROUP_CALL,
    "m.rtc.member": _GROUP_CALL,
    "org.matrix.msc4075.rtc.notification": _GROUP_CALL,
    "m.rtc.notification": _GROUP_CALL,
}

_NO_CALLS_HERE = "Encrypted rooms are not supported: calls from this room cannot reach the telephone."
_CALL_THERE = "I have invited you to a room without encryption; call from there."
_WRONG_BUTTON = (
    "This kind of call (Element Call) cannot reach a telephone. "
    'Use the ordinary voice call instead; where there is a choice, it is named "Legacy Call".'
)

_GIVE_UP_S = 300.0


class Unsupported:
    """Looks at the events of rooms in which one of our ghosts is."""

    def __init__(self, *, names: GhostNames, rooms: Rooms, portals: Portals, sender: Sender, store: Store) -> None:
        self._names = names
        self._rooms = rooms
        self._portals = portals
        self._sender = sender
        self._store = store

    async def handle(self, event: RoomEvent) -> None:
        """Explain what an event shows that somebody expects; once for each room, and only to a person and a phone."""
        topic = _TOPICS.get(event.type)
        if topic is None or not event.content or self._names.is_ours(event.sender):
            return
        try:
            pair = await self._pair(event.room_id)
            if pair is not None and await self._store.notices.claim(event.room_id, topic):
                await self._explain(topic, event.room_id, *pair)
        except MatrixError as error:
            _log.warning("notice_not_sent", room_id=event.room_id, reason=error.errcode, status=error.status)

    async def _pair(self, room_id: RoomId) -> tuple[UserId, UserId] | None:
        """The ghost and the person of a direct room; in any other, nobody in particular wants to phone."""
        if not await self._store.rooms.ghosts_in(room_id):
            return None
        members = await self._rooms.members(room_id)
        ghosts = [member for member in members if self._names.number(member) is not None]
        people = [member for member in members if not self._names.is_ours(member)]
        return (ghosts[0], people[0]) if len(ghosts) == len(people) == 1 else None

    async def _explain(self, topic: str, room_id: RoomId, ghost: UserId, user: UserId) -> None:
        text = _WRONG_BUTTON
        if topic == _ENCRYPTED:
            text = f"{_NO_CALLS_HERE} {_CALL_THERE}" if await self._other_room(ghost, user) else _NO_CALLS_HERE
        event = notice(text)
        await self._sender.send(
            room_id=room_id,
            sender=ghost,
            event_type=event.type,
            content=event.content,
            txn_id=f"notice.{topic}.{room_id}",
            give_up_after_s=_GIVE_UP_S,
        )

    async def _other_room(self, ghost: UserId, user: UserId) -> bool:
        """A portal in which the two can call each other; only for users of our own homeserver."""
        if not self._names.is_local(user):
            return False
        try:
            await self._portals.portal(user=user, ghost=ghost)
        except MatrixError as error:
            _log.warning("no_plain_room_made", reason=error.errcode, status=error.status)
            return False
        return True
