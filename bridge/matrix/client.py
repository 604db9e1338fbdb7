"""The calls of the client-server API that a bridge needs, made in the name of a ghost."""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.core.ids import EventId, RoomId, UserId
from bridge.matrix.events import Json
from bridge.matrix.link import HomeserverLink, MatrixError, Request

_V3 = ("_matrix", "client", "v3")
_GIVE_UP_S = 30.0
_MAX_ID = 255
"""Specification, "Size limits"."""
_PRESENCE_GIVE_UP_S = 5.0
"""What somebody does changes; a request that hangs would hold up the newer state."""


class Client:
    """Every method raises :class:`bridge.matrix.link.MatrixError`; `user` is the ghost (or bot) that acts."""

    def __init__(self, link: HomeserverLink) -> None:
        self._link = link

    async def register(self, localpart: str, *, give_up_after_s: float = _GIVE_UP_S) -> None:
        """Make a user of ours known; one that is known already is fine."""
        body = {"type": "m.login.application_service", "username": localpart, "inhibit_login": True}
        try:
            await self._call("POST", "register", body=body, give_up_after_s=give_up_after_s)
        except MatrixError as error:
            if error.errcode != "M_USER_IN_USE":
                raise

    async def whoami(self, *, token: str = "", give_up_after_s: float = _GIVE_UP_S) -> UserId:
        """For whom the homeserver takes whoever has this token; the application service's own while it is empty."""
        request = Request(method="GET", path=(*_V3, "account", "whoami"), token=token)
        answer = await self._link.call(request, give_up_after_s=give_up_after_s)
        return UserId(_required(answer if isinstance(answer, Mapping) else {}, "user_id"))

    async def display_name(self, user: UserId, observer: UserId, *, give_up_after_s: float) -> str:
        """What a user calls themselves, empty when they do not, as somebody may see it who shares a room with them."""
        path = ("profile", user, "displayname")
        answer = await self._call("GET", *path, user=observer, give_up_after_s=give_up_after_s)
        name = answer.get("displayname")
        return name if isinstance(name, str) else ""

    async def presence(self, user: UserId, observer: UserId, *, give_up_after_s: float) -> Json:
        """How present a user is, as somebody may see it who shares a room with them."""
        path = ("presence", user, "status")
        return await self._call("GET", *path, user=observer, give_up_after_s=give_up_after_s)

    async def set_presence(self, user: UserId, state: str, text: str) -> None:
        """Show somebody of ours as present or not, and say why."""
        body = {"presence": state, **({"status_msg": text} if text else {})}
        await self._call("PUT", "presence", user, "status", user=user, body=body, give_up_after_s=_PRESENCE_GIVE_UP_S)

    async def set_display_name(self, user: UserId, name: str, *, give_up_after_s: float = _GIVE_UP_S) -> None:
        path = ("profile", user, "displayname")
        await self._call("PUT", *path, user=user, body={"displayname": name}, give_up_after_s=give_up_after_s)

    async def set_avatar(self, user: UserId, url: str) -> None:
        """The picture of a user, an `mxc:` URI; empty takes it away."""
        await self._call("PUT", "profile", user, "avatar_url", user=user, body={"avatar_url": url})

    async def upload(self, content: bytes, kind: str, user: UserId) -> str:
        """Have the homeserver keep a file; gives its `mxc:` URI (specification, "Content repository")."""
        path = ("_matrix", "media", "v3", "upload")
        request = Request(method="POST", path=path, user=user, file=content, file_kind=kind)
        answer = await self._link.call(request, give_up_after_s=_GIVE_UP_S)
        return _required(answer if isinstance(answer, Mapping) else {}, "content_uri")

    async def join(self, room_id: RoomId, user: UserId, *, give_up_after_s: float = _GIVE_UP_S) -> None:
        await self._call("POST", "join", room_id, user=user, body={}, give_up_after_s=give_up_after_s)

    async def leave(self, room_id: RoomId, user: UserId) -> None:
        """Leave a room, or decline an invitation."""
        await self._call("POST", "rooms", room_id, "leave", user=user, body={})

    async def invite(self, room_id: RoomId, user: UserId, invitee: UserId) -> None:
        await self._call("POST", "rooms", room_id, "invite", user=user, body={"user_id": invitee})

    async def joined_members(self, room_id: RoomId, user: UserId) -> frozenset[UserId]:
        answer = await self._call("GET", "rooms", room_id, "joined_members", user=user)
        joined = answer.get("joined")
        return frozenset(UserId(member) for member in joined) if isinstance(joined, Mapping) else frozenset()

    async def messages(self, room_id: RoomId, user: UserId, *, limit: int) -> list[object]:
        """The newest events of a room, oldest first, unchecked."""
        query = (("dir", "b"), ("limit", str(limit)))
        answer = await self._call("GET", "rooms", room_id, "messages", user=user, query=query)
        chunk = answer.get("chunk")
        return list(reversed(chunk[:limit])) if isinstance(chunk, list) else []

    async def state(self, room_id: RoomId, user: UserId, event_type: str, state_key: str = "") -> Json | None:
        """Content of one state event; `None` when the room has none."""
        path = ("rooms", room_id, "state", event_type, *([state_key] if state_key else []))
        try:
            return await self._call("GET", *path, user=user)
        except MatrixError as error:
            if error.status == 404:
                return None
            raise

    async def set_state(
        self, room_id: RoomId, user: UserId, event_type: str, content: Json, state_key: str = ""
    ) -> None:
        """Change one piece of a room's state; setting it to what it is changes nothing."""
        path = ("rooms", room_id, "state", event_type, *([state_key] if state_key else []))
        await self._call("PUT", *path, user=user, body=content)

    async def create_room(self, user: UserId, body: Json) -> RoomId:
        answer = await self._call("POST", "createRoom", user=user, body=body, repeatable=False)
        return RoomId(_required(answer, "room_id"))

    async def default_room_version(self) -> str:
        """The version that a new room gets, empty when the homeserver does not say."""
        try:
            capabilities = (await self._call("GET", "capabilities")).get("capabilities")
        except MatrixError as error:
            if error.temporary:
                raise
            return ""
        versions = capabilities.get("m.room_versions") if isinstance(capabilities, Mapping) else None
        default = versions.get("default") if isinstance(versions, Mapping) else None
        return default if isinstance(default, str) else ""

    async def send(
        self,
        room_id: RoomId,
        user: UserId,
        event_type: str,
        content: Json,
        *,
        txn_id: str,
        give_up_after_s: float,
        wanted: Callable[[], bool],
    ) -> EventId:
        """Send an event; with the same `txn_id` it is sent once, however often this is called."""
        path = ("rooms", room_id, "send", event_type, txn_id)
        answer = await self._call("PUT", *path, user=user, body=content, give_up_after_s=give_up_after_s, wanted=wanted)
        return EventId(_required(answer, "event_id"))

    async def ping(self, appservice_id: str, txn_id: str, *, give_up_after_s: float) -> None:
        """Ask the homeserver to call us: it then also delivers at once what it holds back."""
        path = ("_matrix", "client", "v1", "appservice", appservice_id, "ping")
        request = Request(method="POST", path=path, body={"transaction_id": txn_id}, repeatable=False)
        await self._link.call(request, give_up_after_s=give_up_after_s)

    async def _call(
        self,
        method: str,
        *path: str,
        user: UserId | None = None,
        query: tuple[tuple[str, str], ...] = (),
        body: Json | None = None,
        repeatable: bool = True,
        give_up_after_s: float = _GIVE_UP_S,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Mapping[str, Any]:
        request = Request(
            method=method,
            path=(*_V3, *path),
            user=user,
            query=query,
            body=body,
            repeatable=repeatable,
            wanted=wanted,
        )
        answer = await self._link.call(request, give_up_after_s=give_up_after_s)
        if not isinstance(answer, Mapping):
            raise MatrixError("M_BAD_JSON", "the answer is no object", status=502)
        return answer


def _required(answer: Mapping[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID:
        raise MatrixError("M_BAD_JSON", f"the answer has no {key}", status=502)
    if any("\ud800" <= character <= "\udfff" for character in value):
        # The store would not take it, and an event that it cannot mark as sent comes up again for ever.
        raise MatrixError("M_BAD_JSON", f"{key} is no Unicode", status=502)
    return value
