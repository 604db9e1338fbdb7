"""A small Matrix client: what a person's client does around a call, over the client-server API."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from deploy.demo.errors import DemoError

_API = "/_matrix/client/v3"
_SYNC_WAIT_MS = 20_000
_TIMEOUT = aiohttp.ClientTimeout(total=40)
_FILTER = (
    '{"presence":{"types":[]},"account_data":{"types":[]},"room":{"ephemeral":{"types":[]},"timeline":{"limit":50}}}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent:
    """One event of a room's timeline."""

    room_id: str
    sender: str
    type: str
    content: Mapping[str, Any]
    state_key: str | None


class MatrixClient:
    """One logged-in device of one user. Every room it is invited to is joined, as a person would who expects a call."""

    def __init__(self, homeserver_url: str) -> None:
        self._session = aiohttp.ClientSession(homeserver_url, timeout=_TIMEOUT)
        self._headers: dict[str, str] = {}
        self._joined: dict[str, asyncio.Event] = {}
        self.user_id = ""
        self.device_id = ""

    async def login(self, name: str, password: str) -> None:
        """Log in with a password, as a new device."""
        identifier = {"type": "m.id.user", "user": name}
        body = {
            "type": "m.login.password",
            "identifier": identifier,
            "password": password,
            "initial_device_display_name": "Trunkline demo",
        }
        answer = await self._request("POST", "/login", json=body)
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}
        self.user_id, self.device_id = answer["user_id"], answer["device_id"]

    async def catch_up(self) -> str:
        """Where the timeline stands now; what happened before is of no interest."""
        answer = await self._request("GET", "/sync", params={"timeout": "0", "filter": _FILTER})
        await self._join_invites(answer)
        return str(answer["next_batch"])

    async def sync_for_ever(self, since: str, on_event: Callable[[ClientEvent], None]) -> None:
        """Pass on every event after `since`; ends when cancelled, or with :class:`DemoError` without a homeserver."""
        while True:
            params = {"timeout": str(_SYNC_WAIT_MS), "since": since, "filter": _FILTER}
            answer = await self._request("GET", "/sync", params=params)
            since = answer["next_batch"]
            await self._join_invites(answer)
            for event in _timeline(answer):
                self._note_join(event)
                on_event(event)

    async def close(self) -> None:
        """Log the device out and free the connection; may be called at any time."""
        try:
            if self._headers:
                await self._request("POST", "/logout", json={})
        finally:
            await self._session.close()

    async def look_up(self, number: str) -> str:
        """The user id behind a telephone number, by the lookup of the dial pad (`m.protocol.pstn`)."""
        params = {"m.id.phone": number}
        found = await self._request("GET", "/thirdparty/user/m.protocol.pstn", params=params)
        if not found:
            raise DemoError(f"the homeserver's third-party lookup knows nobody behind {number}")
        return str(found[0]["userid"])

    async def direct_room(self, user_id: str, *, within_s: float = 10.0) -> str:
        """A room with `user_id` alone, as Element makes it: the one of an earlier call or a new one; they are in it."""
        known = await self._account_data("m.direct")
        for room_id in known.get(user_id, []):
            if await self._members(room_id) == {self.user_id, user_id}:
                return str(room_id)
        async with self._watch_join(user_id) as joined:
            room_id = await self._create_direct_room(user_id)
            await self._remember_direct(known, user_id, room_id)
            if user_id not in await self._members(room_id):
                await _wait_for_join(joined, user_id, within_s)
        return room_id

    async def send(self, room_id: str, event_type: str, content: Mapping[str, Any]) -> str:
        """Send one event; returns its id."""
        path = f"/rooms/{quote(room_id)}/send/{event_type}/{secrets.token_hex(8)}"
        answer = await self._request("PUT", path, json=dict(content))
        return str(answer["event_id"])

    @asynccontextmanager
    async def _watch_join(self, user_id: str) -> AsyncIterator[asyncio.Event]:
        joined = self._joined.setdefault(user_id, asyncio.Event())
        try:
            yield joined
        finally:
            self._joined.pop(user_id, None)

    async def _create_direct_room(self, user_id: str) -> str:
        visibility = {
            "type": "m.room.history_visibility",
            "state_key": "",
            "content": {"history_visibility": "invited"},
        }
        body = {
            "preset": "trusted_private_chat",
            "visibility": "private",
            "is_direct": True,
            "invite": [user_id],
            "initial_state": [visibility],
        }
        return str((await self._request("POST", "/createRoom", json=body))["room_id"])

    async def _remember_direct(self, known: Mapping[str, Any], user_id: str, room_id: str) -> None:
        updated = {**known, user_id: [*known.get(user_id, []), room_id]}
        await self._request("PUT", f"/user/{quote(self.user_id)}/account_data/m.direct", json=updated)

    async def _account_data(self, kind: str) -> Mapping[str, Any]:
        path = f"/user/{quote(self.user_id)}/account_data/{kind}"
        answer: Mapping[str, Any] = await self._request("GET", path, missing={})
        return answer

    async def _members(self, room_id: str) -> set[str]:
        answer = await self._request("GET", f"/rooms/{quote(room_id)}/joined_members", missing={})
        return set(answer.get("joined", {}))

    async def _join_invites(self, answer: Mapping[str, Any]) -> None:
        for room_id in answer.get("rooms", {}).get("invite", {}):
            await self._request("POST", f"/join/{quote(room_id)}", json={})

    def _note_join(self, event: ClientEvent) -> None:
        joins = event.type == "m.room.member" and event.content.get("membership") == "join"
        if joins and event.state_key in self._joined:
            self._joined[event.state_key].set()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        missing: Any = None,
    ) -> Any:
        """One call of the API; `missing` is returned for a 404 or 403 when it is given."""
        request = self._session.request(method, _API + path, json=json, params=params, headers=self._headers)
        try:
            async with request as answer:
                content = await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DemoError(f"the homeserver did not answer {method} {path.split('?')[0]}: {error}") from error
        if answer.status in (403, 404) and missing is not None:
            return missing
        if answer.status != 200:
            raise DemoError(f"the homeserver refused {method} {path}: {content.get('error', answer.status)}")
        return content


def _timeline(answer: Mapping[str, Any]) -> list[ClientEvent]:
    """The timeline events of all joined rooms, room by room, in order."""
    rooms: Mapping[str, Any] = answer.get("rooms", {}).get("join", {})
    return [
        ClientEvent(
            room_id=room_id,
            sender=event["sender"],
            type=event["type"],
            content=event["content"],
            state_key=event.get("state_key"),
        )
        for room_id, room in rooms.items()
        for event in room.get("timeline", {}).get("events", [])
    ]


async def _wait_for_join(joined: asyncio.Event, user_id: str, within_s: float) -> None:
    try:
        await asyncio.wait_for(joined.wait(), within_s)
    except TimeoutError as error:
        raise DemoError(f"{user_id} did not join the room within {within_s:.0f} s") from error
