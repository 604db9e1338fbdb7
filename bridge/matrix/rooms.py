"""What we know of rooms: members, who may join, whether they are encrypted or have been replaced.

Each is read once and then kept up to date by the events of the room.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from bridge.core.ids import RoomId, UserId
from bridge.matrix.client import Client
from bridge.matrix.events import RoomEvent
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import MatrixError
from bridge.store import Store

_MAX_ROOMS = 10_000
_MAX_READS = 5


@dataclass(slots=True)
class _RoomState:
    """`None` is unknown. `changes` counts what events changed of the members, to notice it during a read."""

    members: set[UserId] | None = None
    public: bool | None = None
    encrypted: bool | None = None
    replaced: bool | None = None
    changes: int = field(default=0)


class Rooms:
    """Answers from memory where it can. Reading raises :class:`bridge.matrix.link.MatrixError`."""

    def __init__(self, *, names: GhostNames, store: Store, client: Client) -> None:
        self._names = names
        self._store = store
        self._client = client
        self._states: OrderedDict[RoomId, _RoomState] = OrderedDict()

    async def members(self, room_id: RoomId) -> frozenset[UserId]:
        """Everybody who has joined, ghosts included."""
        state = self._state(room_id)
        for _ in range(_MAX_READS):
            if state.members is not None:
                break
            before = state.changes
            read = await self._client.joined_members(room_id, await self._insider(room_id))
            # A change that came meanwhile may or may not be in what was read.
            state.members = set(read) if state.changes == before else None
        if state.members is None:
            raise MatrixError("M_UNSTABLE", "the members change faster than they can be read")
        return frozenset(state.members)

    async def is_public(self, room_id: RoomId) -> bool:
        """Whether anybody may join (`join_rule: public`)."""
        state = self._state(room_id)
        if state.public is None:
            content = await self._client.state(room_id, await self._insider(room_id), "m.room.join_rules")
            # An event that came meanwhile has set it, and may be younger than what was read.
            if state.public is None:
                state.public = content is not None and content.get("join_rule") == "public"
        return state.public

    async def is_encrypted(self, room_id: RoomId) -> bool:
        """Whether messages of the room are encrypted, which cannot be undone."""
        state = self._state(room_id)
        if state.encrypted is None:
            content = await self._client.state(room_id, await self._insider(room_id), "m.room.encryption")
            # As above; here the mistake would last.
            if state.encrypted is None:
                state.encrypted = content is not None
        return state.encrypted

    async def is_replaced(self, room_id: RoomId) -> bool:
        """Whether another room has taken the place of this one (specification, "Room Upgrades")."""
        state = self._state(room_id)
        if state.replaced is None:
            content = await self._client.state(room_id, await self._insider(room_id), "m.room.tombstone")
            if state.replaced is None:
                state.replaced = content is not None
        return state.replaced

    async def is_expected(self, room_id: RoomId, user: UserId) -> bool:
        """Whether an invitation of `user` is open, or was accepted so lately that its event is still on its way."""
        content = await self._client.state(room_id, await self._insider(room_id), "m.room.member", user)
        return content is not None and content.get("membership") in ("invite", "join")

    def person_joined(self, room_id: RoomId, user: UserId) -> None:
        """A user has joined, as the homeserver has told by another way than its events."""
        self._member(room_id, user, joined=True)

    async def ghost_joined(self, room_id: RoomId, ghost: UserId, *, peer: str = "") -> None:
        """A ghost is in a room, for the sake of `peer` where that is known; from now on it can be asked about it."""
        await self._store.rooms.put(room_id, ghost, peer=peer)

    async def ghost_left(self, room_id: RoomId, ghost: UserId) -> None:
        """A ghost is no longer in a room; after the last one we hear nothing of it any more."""
        await self._store.rooms.drop(room_id, ghost)
        if await self._store.rooms.ghosts_in(room_id):
            self._member(room_id, ghost, joined=False)
        else:
            self._states.pop(room_id, None)

    def observe(self, event: RoomEvent) -> None:
        """Follow what an event changes. What concerns the room as a whole has an empty state key, or is not that."""
        if event.state_key is None:
            return
        match event.type, event.state_key:
            case "m.room.member", user:
                # Nobody is invited who has joined: such an event is older than what was read, out of a backlog.
                if event.content.get("membership") != "invite":
                    joined = event.content.get("membership") == "join"
                    self._member(event.room_id, UserId(user), joined=joined)
            case "m.room.join_rules", "":
                self._state(event.room_id).public = event.content.get("join_rule") == "public"
            case "m.room.encryption", "":
                self._state(event.room_id).encrypted = True
            case "m.room.tombstone", "":
                self._state(event.room_id).replaced = True

    def _member(self, room_id: RoomId, user: UserId, *, joined: bool) -> None:
        state = self._state(room_id)
        state.changes += 1
        if state.members is not None:
            (state.members.add if joined else state.members.discard)(user)

    def _state(self, room_id: RoomId) -> _RoomState:
        state = self._states.setdefault(room_id, _RoomState())
        self._states.move_to_end(room_id)
        if len(self._states) > _MAX_ROOMS:
            self._states.popitem(last=False)
        return state

    async def _insider(self, room_id: RoomId) -> UserId:
        """A ghost that is in the room, in whose name it can be read."""
        ghosts = await self._store.rooms.ghosts_in(room_id) or await self._discover(room_id)
        if not ghosts:
            raise MatrixError("M_NOT_IN_ROOM", "no ghost is in the room", status=403)
        return ghosts[0]

    async def _discover(self, room_id: RoomId) -> tuple[UserId, ...]:
        """Our ghosts in a room that an earlier database knew.

        Synapse shows the bot the members of every room in which one of its ghosts is.
        """
        members = await self._client.joined_members(room_id, self._names.bot)
        bot = self._names.bot
        ghosts = tuple(member for member in members if member == bot or self._names.number(member) is not None)
        people = [member for member in members if not self._names.is_ours(member)]
        for ghost in ghosts:
            await self.ghost_joined(room_id, ghost, peer=people[0] if len(people) == 1 else "")
        return ghosts
