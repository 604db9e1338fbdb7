"""Users and rooms of a homeserver in memory, and which events an application service is to be told of."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable

from bridge.core.ids import EventId, RoomId, UserId
from tests.homeserver_model import Event, Fault, Json, Room
from tests.homeserver_push import AppserviceClient


class Rooms(AppserviceClient):
    """What there is, and what people do with it."""

    def __init__(
        self,
        *,
        server_name: str = "example.org",
        as_token: str = "as-secret",
        hs_token: str = "hs-secret",
        appservice_id: str = "trunkline",
        bot_localpart: str = "_sip_bot",
        ghost_prefix: str = "_sip_",
        room_version: str = "11",
        retry_delay_s: float = 0.02,
    ) -> None:
        super().__init__(hs_token)
        self.server_name = server_name
        self.as_token = as_token
        self.appservice_id = appservice_id
        self.bot = UserId(f"@{bot_localpart}:{server_name}")
        self.room_version = room_version
        self.users: dict[str, str] = {}
        """Registered users with their display names."""
        self.avatars: dict[str, str] = {}
        self.media: dict[str, tuple[str, bytes]] = {}
        """Everything uploaded, with its type, by address."""
        self.rooms: dict[RoomId, Room] = {}
        self.requests: list[tuple[str, str, str]] = []
        """Every client-server request: method, raw path with query, acting user."""
        self.faults: list[Fault] = []
        self.delay_s = 0.0
        """Every client-server request takes this much longer."""
        self.failed_pushes = 0
        self.held_back = False
        """Whether a push had to be put off."""
        self.shows_stripped_state = True
        """Whether an invitation says what kind of room it is for."""
        self.puppet_token = self.admin_token = ""
        """Tokens that speak for all users; none while empty."""
        self.sessions: dict[str, UserId] = {}
        """Open sessions that the administrator's token has made."""
        self.presence: dict[str, Json] = {}
        """`m.presence` contents by user."""
        self.account_data: dict[tuple[UserId, str], object] = {}
        self.encrypts_all_rooms = False
        self.watchers: list[Callable[[Event], object]] = []
        """Called with every event: the sync of clients."""
        self._ghost_prefix = f"@{ghost_prefix}"
        self._retry_delay_s = retry_delay_s
        self._ids = itertools.count(1)
        self._sent: dict[tuple[str, str], EventId] = {}
        self._outgoing: deque[Event] = deque()
        self._work = asyncio.Event()
        self._changed = asyncio.Condition()
        self._retry_now = asyncio.Event()
        self._gathering = False

    # --- what people do -------------------------------------------------------------------------------------------

    def add_user(self, localpart: str, display_name: str = "") -> UserId:
        user_id = UserId(f"@{localpart}:{self.server_name}")
        self.users[user_id] = display_name or localpart
        return user_id

    async def create_room(
        self, creator: UserId, *, invite: Iterable[UserId] = (), public: bool = False, is_direct: bool = False
    ) -> RoomId:
        room = Room(RoomId(f"!room{next(self._ids)}:{self.server_name}"), self.room_version)
        self.rooms[room.room_id] = room
        await self._add(room, creator, "m.room.create", {"room_version": room.version}, "")
        await self._add(room, creator, "m.room.member", {"membership": "join"}, creator)
        rule = "public" if public else "invite"
        await self._add(room, creator, "m.room.join_rules", {"join_rule": rule}, "")
        for user_id in invite:
            await self.invite_as(creator, room.room_id, user_id, is_direct=is_direct)
        return room.room_id

    async def invite_as(self, sender: UserId, room_id: RoomId, user: UserId, *, is_direct: bool = False) -> EventId:
        content: dict[str, object] = {"membership": "invite"}
        if is_direct:
            content["is_direct"] = True
        return await self._add(self.rooms[room_id], sender, "m.room.member", content, user)

    async def join_as(self, user: UserId, room_id: RoomId) -> EventId:
        return await self._add(self.rooms[room_id], user, "m.room.member", {"membership": "join"}, user)

    async def leave_as(self, user: UserId, room_id: RoomId) -> EventId:
        return await self._add(self.rooms[room_id], user, "m.room.member", {"membership": "leave"}, user)

    async def send_as(
        self, user: UserId, room_id: RoomId, event_type: str, content: Json, state_key: str | None = None
    ) -> EventId:
        return await self._add(self.rooms[room_id], user, event_type, dict(content), state_key)

    # --- events ---------------------------------------------------------------------------------------------------

    def is_ghost(self, user_id: str) -> bool:
        return user_id == self.bot or (
            user_id.startswith(self._ghost_prefix) and user_id.endswith(f":{self.server_name}")
        )

    async def _add(self, room: Room, sender: str, kind: str, content: Json, state_key: str | None = None) -> EventId:
        event_id = self._append(room, sender, kind, content, state_key)
        await self._tell()
        return event_id

    def _append(self, room: Room, sender: str, kind: str, content: Json, state_key: str | None = None) -> EventId:
        number = next(self._ids)
        event: Event = {
            "event_id": f"$event{number}",
            "room_id": room.room_id,
            "sender": sender,
            "type": kind,
            "content": content,
            "origin_server_ts": int(time.time() * 1000),
        }
        if state_key is not None:
            event["state_key"] = state_key
            room.state[kind, state_key] = event
        room.timeline.append(event)
        if self._interests(room, event):
            self._outgoing.append(event)
            self._work.set()
        for watcher in self.watchers:
            watcher(event)
        return EventId(event["event_id"])

    def _interests(self, room: Room, event: Event) -> bool:
        """An application service sees rooms in which one of its users is joined, and events about its users."""
        about = (event["sender"], str(event.get("state_key", "")), *room.joined())
        return any(self.is_ghost(user_id) for user_id in about)

    def _aged(self, event: Event) -> Event:
        unsigned: Event = {"age": max(0, int(time.time() * 1000) - event["origin_server_ts"])}
        if self.shows_stripped_state and event["content"].get("membership") == "invite":
            unsigned["invite_room_state"] = [self.rooms[event["room_id"]].state["m.room.join_rules", ""]]
        return {**event, "unsigned": unsigned}

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
