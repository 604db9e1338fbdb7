"""Users who may not call out for a while, because their calls looked like fraud, and who is told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bridge.app.lane import Lane
from bridge.core.clock import Clock
from bridge.core.errors import TrunklineError
from bridge.core.ids import RoomId, UserId
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.matrix import call_content
from bridge.numbers.abuse import Suspicion
from bridge.store import Store
from bridge.store.spending import StoredSuspension

log = structlog.get_logger(__name__)

ROOM_LIMIT_S = 5.0
"""For the homeserver to make a room with an administrator: the end of the process may wait for it."""

_LOOKS_LIKE = {
    Suspicion.COUNTRIES: "they called many countries within an hour",
    Suspicion.SEQUENTIAL: "they called one number after the other of a range",
    Suspicion.WANGIRI: "they called many numbers and let go at once",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionRule:
    """How long, and who learns of it."""

    hours: float = 24.0
    admins: tuple[UserId, ...] = ()


class BotVoice(Protocol):
    """How the bot is heard; `bridge.matrix.service.MatrixService` has it."""

    @property
    def bot(self) -> UserId: ...

    async def bot_room(self, user: UserId) -> RoomId: ...

    async def send(
        self, *, room_id: RoomId, sender: UserId, event_type: str, content: Mapping[str, Any], txn_id: str
    ) -> None: ...


class Suspensions:
    """At hand in memory, because a call must not wait for the disk; written and told behind it, each in order."""

    def __init__(
        self, rule: SuspensionRule, *, store: Store, rooms: BotVoice, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._rule = rule
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._telemetry = telemetry
        self._until: dict[UserId, float] = {}
        self._lane, self._notices = Lane(), Lane()

    def follow(self, rule: SuspensionRule) -> None:
        """Suspend by another rule from now on."""
        self._rule = rule

    async def load(self) -> None:
        """Learn what an earlier process has decided, and forget what is over."""
        now = self._clock.wall()
        for suspension in await self._store.suspensions.all():
            if suspension.until > now:
                self._until[suspension.user_id] = suspension.until
            else:
                await self._store.suspensions.drop(suspension.user_id)

    def concerns(self, user: UserId) -> bool:
        """Whether a user may not call out now."""
        until = self._until.get(user)
        if until is not None and until <= self._clock.wall():
            del self._until[user]
            until = None
        return until is not None

    def all(self) -> list[tuple[UserId, float]]:
        """Everybody who may not call out now, and until when (seconds since 1970)."""
        return [(user, until) for user, until in list(self._until.items()) if self.concerns(user)]

    def suspend(self, user: UserId, suspicion: Suspicion) -> None:
        """From this moment on."""
        until = self._clock.wall() + self._rule.hours * 3600
        self._until[user] = until
        self._telemetry.count("suspensions_total", reason=suspicion.value)
        log.warning("user_suspended", user=Pii(user), reason=suspicion.value)
        stored = StoredSuspension(user_id=user, reason=suspicion.value, until=until)
        self._lane.submit(lambda: self._guarded(lambda: self._store.suspensions.put(stored)))
        text = (
            f"Calls of {user} to the telephone network are suspended for {self._rule.hours:g} hours: "
            f'{_LOOKS_LIKE[suspicion]}. "resume {user}" ends that.'
        )
        self._notices.submit(lambda: self._guarded(lambda: self._tell(self._rule.admins, text, f"{user}.{until}")))

    async def resume(self, user: UserId) -> bool:
        """An administrator has looked at it; false when there was nothing to end."""
        if not self.concerns(user):
            return False
        await self._store.suspensions.drop(user)
        # Of two who end it at once, the second finds nothing to end any more.
        self._until.pop(user, None)
        log.info("user_resumed", user=Pii(user))
        return True

    async def drain(self) -> None:
        """Wait until everything is written and told."""
        await self._lane.drain()
        await self._notices.drain()

    async def _tell(self, admins: Sequence[UserId], text: str, key: str) -> None:
        """In the room in which each talks with the bot; where none can be made, it is in the log and the metrics."""
        notice, bot = call_content.notice(text), self._rooms.bot
        for admin in admins:
            if (room_id := await self._room_of(admin)) is not None:
                await self._rooms.send(
                    room_id=room_id,
                    sender=bot,
                    event_type=notice.type,
                    content=notice.content,
                    txn_id=f"suspension.{admin}.{key}",
                )

    async def _room_of(self, admin: UserId) -> RoomId | None:
        known = await self._store.rooms.rooms_with(self._rooms.bot, admin, limit=1)
        if known:
            return known[0]
        try:
            async with asyncio.timeout(ROOM_LIMIT_S):
                return await self._rooms.bot_room(admin)
        except (TrunklineError, TimeoutError) as error:
            log.warning("admin_not_reached", user=Pii(admin), detail=str(error))
            return None

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A store in trouble costs the notice, never the suspension."""
        try:
            await work()
        except Exception:
            log.exception("suspension_not_told")
            self._telemetry.count("internal_errors_total", component="store")
