"""Ghosts and rooms: ghosts accept invitations, and leave when nobody is left to talk to."""

import asyncio
from collections.abc import Iterator, Mapping

import structlog

from bridge.core.ids import RoomId, UserId
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.matrix.client import Client
from bridge.matrix.envelope import Arrival
from bridge.matrix.events import RoomEvent
from bridge.matrix.ghosts import Ghosts
from bridge.matrix.link import MatrixError
from bridge.matrix.rooms import Rooms
from bridge.matrix.unsupported import Unsupported
from bridge.store import Store

_log = structlog.get_logger()

_JOIN_ATTEMPTS = 3
_JOIN_PAUSE_S = 0.1
_JOIN_LIMIT_S = 10.0
_HISTORY = 30


class Membership:
    """Acts on membership events before anybody else sees them. All of it may be done twice without harm."""

    def __init__(
        self,
        *,
        ghosts: Ghosts,
        rooms: Rooms,
        unsupported: Unsupported,
        store: Store,
        client: Client,
        telemetry: Telemetry,
    ) -> None:
        self._ghosts = ghosts
        self._names = ghosts.names
        self._rooms = rooms
        self._unsupported = unsupported
        self._store = store
        self._client = client
        self._telemetry = telemetry

    async def handle(self, arrival: Arrival) -> list[object]:
        """Do what an event asks of our users; returns the recent history of a room that was joined, oldest first.

        A homeserver delivers nothing of a room in which our ghost is only invited, and clients call at once after they
        invited it, and people write: without the history that call and that text would be lost.
        """
        event = arrival.event
        self._rooms.observe(event)
        if event.type in {"m.room.tombstone", "m.room.encryption"} and event.state_key == "":
            await self._store.portals.drop_room(event.room_id)
        await self._unsupported.handle(event)
        if event.type != "m.room.member" or event.state_key is None:
            return []
        try:
            return await self._member(arrival, UserId(event.state_key))
        except MatrixError as error:
            self._note_failure(event, error)
            return []

    async def _member(self, arrival: Arrival, user: UserId) -> list[object]:
        event = arrival.event
        membership = event.content.get("membership")
        ours = self._names.is_ours(user)
        # A tuple, not a set: what a stranger put there may be a list, which has no hash.
        if ours and membership == "invite":
            return await self._invited(arrival, user)
        if ours and membership == "join":
            await self._rooms.ghost_joined(event.room_id, user)
        elif membership in ("leave", "ban"):
            await (self._ghost_removed if ours else self._user_left)(event.room_id, user)
        return []

    # --- invitations ----------------------------------------------------------------------------------------------

    async def _invited(self, arrival: Arrival, ghost: UserId) -> list[object]:
        event = arrival.event
        refusal = self._refusal(arrival, ghost)
        if refusal:
            await self._decline(event.room_id, ghost, refusal)
            return []
        await self._ghosts.ensure(ghost)
        await self._join(event.room_id, ghost)
        await self._rooms.ghost_joined(event.room_id, ghost, peer=event.sender)
        history = await self._history(event.room_id, ghost)
        # Not every homeserver shows the rules of a room to whom it invites.
        if await self._rooms.is_public(event.room_id):
            await self._decline(event.room_id, ghost, "public_room")
            return []
        if ghost == self._names.bot and not await self._rooms.members(event.room_id) <= {ghost, event.sender}:
            await self._decline(event.room_id, ghost, "crowded_room")
            return []
        self._telemetry.count("matrix_invites_total", outcome="joined")
        return history

    async def _decline(self, room_id: RoomId, ghost: UserId, reason: str) -> None:
        self._telemetry.count("matrix_invites_total", outcome=reason)
        _log.info("invitation_declined", room_id=room_id, ghost=Pii(ghost), reason=reason)
        await self._client.leave(room_id, ghost)
        await self._rooms.ghost_left(room_id, ghost)

    def _refusal(self, arrival: Arrival, ghost: UserId) -> str:
        if ghost != self._names.bot and self._names.number(ghost) is None:
            return "not_a_number"
        if not self._names.is_local(arrival.event.sender):
            return "foreign_inviter"
        return "public_room" if arrival.from_public_room else ""

    async def _join(self, room_id: RoomId, ghost: UserId) -> None:
        """An invitation that has just been pushed may not have reached all of the homeserver yet."""
        for attempt in range(1, _JOIN_ATTEMPTS + 1):
            try:
                await self._client.join(room_id, ghost, give_up_after_s=_JOIN_LIMIT_S)
            except MatrixError:
                if attempt == _JOIN_ATTEMPTS:
                    raise
                await asyncio.sleep(_JOIN_PAUSE_S * attempt)
            else:
                _log.info("ghost_joined_room", room_id=room_id, ghost=Pii(ghost))
                return

    async def _history(self, room_id: RoomId, ghost: UserId) -> list[object]:
        """Calls of people, and what they said to a ghost; their receiver judges whether they are recent enough."""
        try:
            messages = await self._client.messages(room_id, ghost, limit=_HISTORY)
        except MatrixError as error:
            # With the history hidden from new members there is nothing to catch up with.
            _log.warning("history_not_read", room_id=room_id, reason=error.errcode, status=error.status)
            return []
        # A homeserver need not repeat the room's id in each event of its history.
        return [{**raw, "room_id": room_id} for raw in self._missed(messages, ghost)]

    def _missed(self, messages: list[object], ghost: UserId) -> Iterator[Mapping[str, object]]:
        """Words count from the invitation on: what was said before was said to others, and goes to no phone."""
        invited = False
        for raw in messages:
            if not isinstance(raw, Mapping):
                continue
            kind, sender = raw.get("type"), raw.get("sender")
            if not isinstance(kind, str) or not isinstance(sender, str):
                continue
            if kind == "m.room.member" and raw.get("state_key") == ghost:
                invited = _membership(raw) in {"invite", "join"}
            heard = invited or ghost == self._names.bot
            wanted = heard if kind == "m.room.message" else kind.startswith("m.call.")
            if wanted and not self._names.is_ours(sender):
                yield raw

    # --- departures -----------------------------------------------------------------------------------------------

    async def _ghost_removed(self, room_id: RoomId, ghost: UserId) -> None:
        await self._rooms.ghost_left(room_id, ghost)
        for portal in await self._store.portals.in_room(room_id):
            if portal.ghost == ghost:
                await self._store.portals.drop(portal.user_id, ghost)

    async def _user_left(self, room_id: RoomId, user: UserId) -> None:
        """The user is done with this room, so its ghost is: clients look for rooms with exactly two members."""
        for portal in await self._store.portals.in_room(room_id):
            if portal.user_id == user:
                await self._store.portals.drop(user, portal.ghost)
                await self._leave(room_id, portal.ghost)
        ghosts = await self._store.rooms.ghosts_in(room_id)
        if ghosts and not await self._store.portals.in_room(room_id):
            members = await self._rooms.members(room_id)
            if all(self._names.is_ours(member) for member in members):
                for ghost in ghosts:
                    await self._leave(room_id, ghost)

    async def _leave(self, room_id: RoomId, ghost: UserId) -> None:
        await self._client.leave(room_id, ghost)
        await self._rooms.ghost_left(room_id, ghost)
        _log.info("ghost_left_room", room_id=room_id, ghost=Pii(ghost))

    def _note_failure(self, event: RoomEvent, error: MatrixError) -> None:
        if event.content.get("membership") == "invite":
            self._telemetry.count("matrix_invites_total", outcome="failed")
        _log.warning("membership_not_followed", room_id=event.room_id, reason=error.errcode, status=error.status)


def _membership(raw: Mapping[str, object]) -> str:
    content = raw.get("content")
    membership = content.get("membership") if isinstance(content, Mapping) else None
    return membership if isinstance(membership, str) else ""
