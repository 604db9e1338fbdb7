"""The client-server API of a homeserver in memory, as much of it as an application service needs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from bridge.core.ids import RoomId, UserId
from tests.homeserver_model import RefusedError, Room
from tests.homeserver_rooms import Rooms


class ClientServerApi(Rooms):
    """Answers requests, or fails them as a test has said."""

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
