"""What the scripted homeserver is made of: rooms, refusals and faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bridge.core.ids import RoomId

Json = Mapping[str, Any]
Event = dict[str, Any]


class RefusedError(Exception):
    """An error answer of the client-server API."""

    def __init__(self, status: int, errcode: str, message: str = "", **extra: object) -> None:
        super().__init__(errcode)
        self.status = status
        self.body = {"errcode": errcode, "error": message or errcode, **extra}


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that goes wrong `times` times with requests whose path contains `path`."""

    path: str = ""
    status: int = 502
    times: int = 1
    retry_after_ms: int | None = None
    after: bool = False
    """Do what was asked, then answer with the error all the same: the answer got lost."""
    errcode: str = ""
    event_id: str = ""
    """With a `status` that means success: what the answer names."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """The connection breaks in the middle of the answer."""

    def answer(self) -> web.Response:
        limited = self.status == 429
        body: dict[str, object] = {"errcode": self.errcode or ("M_LIMIT_EXCEEDED" if limited else "M_UNKNOWN")}
        if self.retry_after_ms is not None:
            body["retry_after_ms"] = self.retry_after_ms
        if self.event_id:
            body = {"event_id": self.event_id}
        return web.json_response(body, status=self.status, headers=self.headers)

    async def tell(self, request: web.Request) -> web.StreamResponse:
        """Answer, in whole or in part."""
        if not self.cut:
            return self.answer()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"event_id": "$')
        if request.transport is not None:
            request.transport.abort()
        return response


@dataclass(slots=True)
class Room:
    """State by (type, state key) and the timeline."""

    room_id: RoomId
    version: str
    state: dict[tuple[str, str], Event] = field(default_factory=dict)
    timeline: list[Event] = field(default_factory=list)

    def membership(self, user_id: str) -> str:
        event = self.state.get(("m.room.member", user_id))
        return str(event["content"].get("membership", "leave")) if event else "leave"

    def joined(self) -> list[str]:
        return [key for kind, key in self.state if kind == "m.room.member" and self.membership(key) == "join"]

    @property
    def public(self) -> bool:
        event = self.state.get(("m.room.join_rules", ""))
        return bool(event and event["content"].get("join_rule") == "public")
