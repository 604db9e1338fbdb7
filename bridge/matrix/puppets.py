"""People who are brought into a room in their own name, so that a phone can ring them there at once.

A user who has not joined a portal cannot be rung, and the first call from a new number always makes a new portal. Where
the administrator has given us a token that speaks for all users, we accept the invitation for them and list the room
among their direct ones; without one, a call rings when they have joined by themselves.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from bridge.core.clock import Clock
from bridge.core.ids import RoomId, UserId
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.matrix.events import Json
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import HomeserverLink, MatrixError, Request
from bridge.matrix.settings import MatrixSettings

_log = structlog.get_logger()

_GIVE_UP_S = 5.0
"""A phone rings meanwhile: a homeserver that takes longer is not waited for."""

_SESSION_S = 60.0
"""How long a token that an administrator's made for us is good for, should it not be given back."""

_V3 = ("_matrix", "client", "v3")
_ADMIN = ("_synapse", "admin", "v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What a request needs to be made by a user."""

    token: str = field(repr=False)
    user: UserId | None
    """Named in the request where the token speaks for more than one."""


class Puppets:
    """Acts as local users, as far as a token allows it; remote ones are never touched."""

    def __init__(
        self,
        settings: MatrixSettings,
        *,
        names: GhostNames,
        link: HomeserverLink,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._puppet_token = settings.puppet_token
        self._admin_token = settings.admin_token
        self._names = names
        self._link = link
        self._clock = clock
        self._telemetry = telemetry

    async def bring_in(self, user: UserId, room_id: RoomId, ghost: UserId) -> bool:
        """Accept the invitation of `user` to the room of `ghost`; false when that is not to be, or not possible now."""
        if not (self._puppet_token or self._admin_token) or not self._names.is_local(user):
            return False
        try:
            async with self._session(user) as session:
                await self._ask(session, "POST", "join", room_id, body={})
                await self._list_as_direct(session, user, room_id, ghost)
        except MatrixError as error:
            self._telemetry.count("matrix_puppet_joins_total", outcome="failed")
            _log.warning("user_not_brought_in", user=Pii(user), reason=error.errcode, status=error.status)
            return False
        self._telemetry.count("matrix_puppet_joins_total", outcome="joined")
        return True

    @asynccontextmanager
    async def _session(self, user: UserId) -> AsyncIterator[_Session]:
        """A token for `user`: one that an administrator's token makes is given back afterwards."""
        if self._puppet_token:
            yield _Session(token=self._puppet_token, user=user)
            return
        session = await self._log_in(user)
        try:
            yield session
        finally:
            await self._log_out(session)

    async def _log_in(self, user: UserId) -> _Session:
        """Synapse Admin API, "Login as a user"; such a session makes no device and tells the user nothing."""
        request = Request(
            method="POST",
            path=(*_ADMIN, "users", user, "login"),
            body={"valid_until_ms": int((self._clock.wall() + _SESSION_S) * 1000)},
            repeatable=False,
            token=self._admin_token,
        )
        token = _object(await self._link.call(request, give_up_after_s=_GIVE_UP_S)).get("access_token")
        if not isinstance(token, str) or not token:
            raise MatrixError("M_BAD_JSON", "the answer has no access_token", status=502)
        return _Session(token=token, user=None)

    async def _log_out(self, session: _Session) -> None:
        try:
            await self._ask(session, "POST", "logout", body={})
        except MatrixError as error:
            _log.info("puppet_session_not_closed", reason=error.errcode, status=error.status)

    async def _list_as_direct(self, session: _Session, user: UserId, room_id: RoomId, ghost: UserId) -> None:
        """Clients show the room under "People" (specification, "Direct messaging"); without that it works as well."""
        where = ("user", user, "account_data", "m.direct")
        try:
            direct = dict(_object(await self._ask(session, "GET", *where)))
        except MatrixError as error:
            if error.status != 404:
                return
            direct = {}
        rooms = direct.get(ghost)
        known = [room for room in rooms if isinstance(room, str)] if isinstance(rooms, list) else []
        if room_id not in known:
            await self._ask(session, "PUT", *where, body={**direct, ghost: [*known, room_id]})

    async def _ask(self, session: _Session, method: str, *path: str, body: Json | None = None) -> Any:
        request = Request(method=method, path=(*_V3, *path), user=session.user, body=body, token=session.token)
        return await self._link.call(request, give_up_after_s=_GIVE_UP_S)


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise MatrixError("M_BAD_JSON", "the answer is no object", status=502)
    return answer
