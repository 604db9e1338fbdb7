"""A small homeserver in memory that does what a test tells it to.

It speaks the part of the client-server API that an application service needs, pushes transactions the way Synapse does
(one in flight, in order, repeated until 200, at most 100 events) and fails on command. It runs in the loop of the test.
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from bridge.core.ids import EventId, RoomId, UserId
from tests.homeserver_model import Event, Fault, Json, RefusedError, Room
from tests.homeserver_push import AppserviceClient
from tests.patience import PATIENCE_S

__all__ = ["Fault", "ScriptedHomeserver"]

Predicate = Callable[[Event], bool]
T = TypeVar("T")

_TRANSACTION_SIZE = 100


class ScriptedHomeserver(AppserviceClient):
    """`async with ScriptedHomeserver(...) as hs`, then `hs.connect(url)` once the application service listens."""

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

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "ScriptedHomeserver":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        host, bound = self._runner.addresses[0][:2]
        self.port = int(bound)
        self.url = f"http://{host}:{bound}"
        self.open_session()
        self._pusher = asyncio.create_task(self._push_forever())

    async def stop(self) -> None:
        self._pusher.cancel()
        await asyncio.gather(self._pusher, return_exceptions=True)
        await self.close_session()
        await self._runner.cleanup()

    def connect(self, appservice_url: str) -> None:
        """Push to `appservice_url` from now on; until then transactions wait."""
        self.appservice_url = appservice_url
        self._work.set()

    def disconnect(self) -> None:
        """Hold all transactions back, as if the application service were down."""
        self.appservice_url = ""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Push what is sent meanwhile in one transaction."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._work.set()

    # --- what people do -----------------------------------------------------------------------------------------

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

    async def create_dm(
        self, user: UserId, ghost: UserId, *, wait: bool = True, timeout_s: float = PATIENCE_S
    ) -> RoomId:
        """A direct room as a client makes it; `wait` returns only when the ghost has joined."""
        room_id = await self.create_room(user, invite=[ghost], is_direct=True)
        if wait:
            await self.wait_member(room_id, ghost, "join", timeout_s=timeout_s)
        return room_id

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

    # --- what tests look at -------------------------------------------------------------------------------------

    def events(self, room_id: RoomId, event_type: str = "") -> list[Event]:
        return [e for e in self.rooms[room_id].timeline if not event_type or e["type"] == event_type]

    async def wait_event(
        self, room_id: RoomId, event_type: str, predicate: Predicate | None = None, timeout_s: float = PATIENCE_S
    ) -> Event:
        """The first event of that kind, already there or still to come."""

        def found() -> Event | None:
            hits = self.events(room_id, event_type)
            return next((e for e in hits if predicate is None or predicate(e)), None)

        event = await self.wait_until(found, timeout_s=timeout_s)
        assert event is not None
        return event

    async def wait_member(self, room_id: RoomId, user: str, membership: str, timeout_s: float = PATIENCE_S) -> None:
        await self.wait_until(lambda: self.rooms[room_id].membership(user) == membership, timeout_s=timeout_s)

    async def wait_until(self, condition: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
        """Until `condition()` is true; looked at after every event, request and push."""
        async with asyncio.timeout(timeout_s), self._changed:
            while not (result := condition()):
                await self._changed.wait()
            return result

    async def wait_idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Until everything has been pushed and acknowledged."""
        await self.wait_until(lambda: not self._outgoing, timeout_s=timeout_s)

    # --- events and pushing ---------------------------------------------------------------------------------------

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

    async def _push_forever(self) -> None:
        for txn_id in itertools.count(1):
            while not self._outgoing or self._gathering:
                self._work.clear()
                await self._work.wait()
            batch = list(itertools.islice(self._outgoing, _TRANSACTION_SIZE))
            body = await self._push_until_done(str(txn_id), batch)
            self.transactions.append((str(txn_id), body))
            for _ in batch:
                self._outgoing.popleft()
            await self._tell()

    async def _push_until_done(self, txn_id: str, batch: list[Event]) -> bytes:
        delay_s = self._retry_delay_s
        while True:
            body = json.dumps({"events": [self._aged(event) for event in batch]}).encode()
            if self.appservice_url and await self._push_once(txn_id, body):
                return body
            self._retry_now.clear()
            self.held_back = True
            await self._tell()
            try:
                async with asyncio.timeout(delay_s):
                    await self._retry_now.wait()
            except TimeoutError:
                delay_s = min(delay_s * 2, 1.0)

    async def _push_once(self, txn_id: str, body: bytes) -> bool:
        try:
            status, _ = await self.ask("PUT", f"/_matrix/app/v1/transactions/{txn_id}", body)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            status = 0
        if status != 200:
            self.failed_pushes += 1
        return status == 200

    def _aged(self, event: Event) -> Event:
        unsigned: Event = {"age": max(0, int(time.time() * 1000) - event["origin_server_ts"])}
        if self.shows_stripped_state and event["content"].get("membership") == "invite":
            unsigned["invite_room_state"] = [self.rooms[event["room_id"]].state["m.room.join_rules", ""]]
        return {**event, "unsigned": unsigned}

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- client-server API ----------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        user_id = next((unquote(p[8:]) for p in query.split("&") if p.startswith("user_id=")), "") or self.bot
        self.requests.append((request.method, request.raw_path, user_id))
        if self.delay_s:
            await self._tell()
            await asyncio.sleep(self.delay_s)
        fault = next((f for f in self.faults if f.path in path and f.times > 0), None)
        if fault is not None:
            fault.times -= 1
            if not fault.after:
                return await self._told(await fault.tell(request))
        try:
            answer = web.json_response(await self._answer(request, path, UserId(user_id)))
        except RefusedError as error:
            answer = web.json_response(error.body, status=error.status)
        return await self._told(await fault.tell(request) if fault else answer)

    async def _told(self, answer: web.StreamResponse) -> web.StreamResponse:
        await self._tell()
        return answer

    async def _answer(self, request: web.Request, path: str, user: UserId) -> object:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        parts = tuple(unquote(part) for part in path.strip("/").split("/"))
        if parts == ("_matrix", "client", "versions"):
            return {"versions": ["v1.1", "v1.11"]}
        if parts == ("_matrix", "media", "v3", "upload"):
            return self._upload(self._acting(token, user), request.content_type, await request.read())
        body = await request.json() if request.can_read_body else {}
        if parts[:3] == ("_synapse", "admin", "v1"):
            return self._log_in(token, parts[3:], body)
        user = self._acting(token, user)
        if parts[3:] == ("account", "whoami"):
            return {"user_id": user}
        if parts[:3] not in {("_matrix", "client", "v3"), ("_matrix", "client", "v1")}:
            raise RefusedError(404, "M_UNRECOGNIZED")
        if parts[-1] != "register" and not (user == self.bot or user in self.users):
            raise RefusedError(403, "M_FORBIDDEN", "Application service has not registered this user")
        handler = self._route(request.method, parts[3:])
        return await handler(user, parts[3:], body)

    def _upload(self, user: UserId, kind: str, content: bytes) -> object:
        if user not in self.users:
            raise RefusedError(403, "M_FORBIDDEN", "Application service has not registered this user")
        address = f"mxc://{self.server_name}/media{next(self._ids)}"
        self.media[address] = (kind, content)
        return {"content_uri": address}

    def _acting(self, token: str, asserted: UserId) -> UserId:
        """Who makes a request: the owner of a session, or whomever a token may assert."""
        if token in self.sessions:
            return self.sessions[token]
        if token == self.as_token and (asserted == self.bot or self.is_ghost(asserted)):
            return asserted
        if self.puppet_token and token == self.puppet_token and not self.is_ghost(asserted):
            return asserted
        if token in (self.as_token, self.puppet_token):
            raise RefusedError(403, "M_FORBIDDEN", "Application service cannot masquerade as this user")
        raise RefusedError(401, "M_UNKNOWN_TOKEN")

    def _log_in(self, token: str, parts: tuple[str, ...], body: Any) -> object:
        """Synapse's "Login as a user"."""
        if not self.admin_token or token != self.admin_token:
            raise RefusedError(403, "M_FORBIDDEN", "You are not a server admin")
        if len(parts) != 3 or (parts[0], parts[2]) != ("users", "login") or parts[1] not in self.users:
            raise RefusedError(404, "M_NOT_FOUND", "User not found")
        if not isinstance(body.get("valid_until_ms"), int):
            raise RefusedError(400, "M_INVALID_PARAM")
        session = f"session{next(self._ids)}"
        self.sessions[session] = UserId(parts[1])
        return {"access_token": session}

    async def _log_out(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        self.sessions = {session: owner for session, owner in self.sessions.items() if owner != user}
        return {}

    async def _read_account_data(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] != user:
            raise RefusedError(403, "M_FORBIDDEN")
        if (user, parts[3]) not in self.account_data:
            raise RefusedError(404, "M_NOT_FOUND")
        return self.account_data[user, parts[3]]

    async def _write_account_data(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] != user:
            raise RefusedError(403, "M_FORBIDDEN")
        self.account_data[user, parts[3]] = body
        return {}

    def _route(
        self, method: str, parts: tuple[str, ...]
    ) -> "Callable[[UserId, tuple[str, ...], Any], Awaitable[object]]":
        verb = parts[2] if parts[:1] == ("rooms",) and len(parts) > 2 else (parts[0] if parts else "")
        handler = {
            ("POST", "register"): self._register,
            ("PUT", "profile"): self._profile,
            ("GET", "profile"): self._read_profile,
            ("GET", "presence"): self._read_presence,
            ("PUT", "presence"): self._write_presence,
            ("POST", "join"): self._join,
            ("POST", "leave"): self._leave,
            ("POST", "invite"): self._invite,
            ("GET", "joined_members"): self._joined_members,
            ("GET", "joined_rooms"): self._joined_rooms,
            ("GET", "messages"): self._messages,
            ("GET", "state"): self._state,
            ("PUT", "state"): self._set_state,
            ("POST", "createRoom"): self._create_room,
            ("PUT", "send"): self._send,
            ("POST", "appservice"): self._ping,
            ("GET", "capabilities"): self._capabilities,
            ("POST", "logout"): self._log_out,
            ("GET", "user"): self._read_account_data,
            ("PUT", "user"): self._write_account_data,
        }.get((method, verb))
        if handler is None:
            raise RefusedError(404, "M_UNRECOGNIZED")
        return handler

    def _room(self, user: UserId, room_id: str, *, joined: bool = True) -> Room:
        room = self.rooms.get(RoomId(room_id))
        if room is None:
            raise RefusedError(404, "M_NOT_FOUND")
        if joined and room.membership(user) != "join":
            raise RefusedError(403, "M_FORBIDDEN", "not in the room")
        return room

    async def _register(self, _: UserId, parts: tuple[str, ...], body: Any) -> object:
        if body.get("type") != "m.login.application_service" or body.get("inhibit_login") is not True:
            raise RefusedError(400, "M_APPSERVICE_LOGIN_UNSUPPORTED")
        user_id = f"@{body['username']}:{self.server_name}"
        if not self.is_ghost(user_id):
            raise RefusedError(400, "M_EXCLUSIVE")
        if user_id in self.users:
            raise RefusedError(400, "M_USER_IN_USE")
        self.users[user_id] = ""
        return {"user_id": user_id}

    async def _profile(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] != user:
            raise RefusedError(403, "M_FORBIDDEN")
        if parts[2] == "displayname":
            self.users[user] = str(body["displayname"])
        elif parts[2] == "avatar_url":
            self.avatars[user] = str(body["avatar_url"])
        return {}

    async def _read_profile(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] not in self.users:
            raise RefusedError(404, "M_NOT_FOUND")
        return {"displayname": self.users[parts[1]]}

    async def _read_presence(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        """Synapse tells only those who share a room."""
        whom = parts[1]
        if not any({user, whom} <= set(room.joined()) for room in self.rooms.values()):
            raise RefusedError(403, "M_FORBIDDEN", "You are not allowed to see their presence.")
        return self.presence.get(whom, {"presence": "offline"})

    async def _write_presence(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] != user:
            raise RefusedError(403, "M_FORBIDDEN")
        self.presence[user] = body
        return {}

    async def _join(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        room = self._room(user, parts[1], joined=False)
        if room.membership(user) != "join":
            if room.membership(user) != "invite" and not room.public:
                raise RefusedError(403, "M_FORBIDDEN", "not invited")
            await self.join_as(user, room.room_id)
        return {"room_id": room.room_id}

    async def _leave(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if self._room(user, parts[1], joined=False).membership(user) in {"join", "invite"}:
            await self.leave_as(user, RoomId(parts[1]))
        return {}

    async def _invite(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        self._room(user, parts[1])
        await self.invite_as(user, RoomId(parts[1]), UserId(body["user_id"]))
        return {}

    async def _joined_members(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        room = self._room(user, parts[1], joined=user != self.bot)
        if not any(self.is_ghost(member) for member in room.joined()):
            raise RefusedError(403, "M_FORBIDDEN")
        return {"joined": {member: {"display_name": self.users.get(member)} for member in room.joined()}}

    async def _joined_rooms(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        return {"joined_rooms": [room_id for room_id, room in self.rooms.items() if user in room.joined()]}

    async def _messages(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        room = self._room(user, parts[1])
        return {"start": "s", "end": "e", "chunk": [self._aged(event) for event in reversed(room.timeline[-50:])]}

    async def _state(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        room = self._room(user, parts[1])
        if len(parts) == 3:
            return list(room.state.values())
        event = room.state.get((parts[3], parts[4] if len(parts) > 4 else ""))
        if event is None:
            raise RefusedError(404, "M_NOT_FOUND")
        return event["content"]

    async def _set_state(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        room = self._room(user, parts[1])
        state_key = parts[4] if len(parts) > 4 else ""
        if parts[3] == "m.room.member" and state_key != user:
            raise RefusedError(403, "M_FORBIDDEN")
        return {"event_id": (await self._add(room, user, parts[3], body, state_key))}

    async def _create_room(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        levels = body.get("power_level_content_override", {})
        if self.room_version.isdigit() and int(self.room_version) >= 12 and user in levels.get("users", {}):
            raise RefusedError(400, "M_INVALID_PARAM", "the creator has no power level")
        invite = [UserId(invitee) for invitee in body.get("invite", [])]
        room_id = await self.create_room(user, invite=invite, is_direct=bool(body.get("is_direct")))
        await self._add(self.rooms[room_id], user, "m.room.power_levels", levels, "")
        forced = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        for event in (*body.get("initial_state", []), *([forced] if self.encrypts_all_rooms else [])):
            await self._add(self.rooms[room_id], user, event["type"], event["content"], event.get("state_key", ""))
        return {"room_id": room_id}

    async def _send(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        _, room_id, _, kind, txn_id = parts
        room = self._room(user, room_id)
        if kind == "m.call.invite" and room.public:
            raise RefusedError(403, "M_FORBIDDEN", "Call invites are not allowed in public rooms.")
        # Like Synapse, the path is the key: the same id used by two ghosts in one room counts as one.
        key = (f"{room_id}/{kind}", txn_id)
        if key not in self._sent:
            self._sent[key] = self._append(room, user, kind, body)
        return {"event_id": self._sent[key]}

    async def _ping(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        if parts[1] != self.appservice_id:
            raise RefusedError(403, "M_FORBIDDEN")
        if not self.appservice_url:
            raise RefusedError(400, "M_URL_NOT_SET")
        try:
            status, _ = await self.ask("POST", "/_matrix/app/v1/ping", json.dumps(body).encode())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RefusedError(502, "M_CONNECTION_FAILED", str(error)) from error
        if status != 200:
            raise RefusedError(502, "M_BAD_STATUS", f"answered {status}")
        self._retry_now.set()
        return {"duration_ms": 1}

    async def _capabilities(self, user: UserId, parts: tuple[str, ...], body: Any) -> object:
        versions = {"default": self.room_version, "available": {self.room_version: "stable"}}
        return {"capabilities": {"m.room_versions": versions}}
