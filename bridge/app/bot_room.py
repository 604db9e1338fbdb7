"""The bot's side of a conversation: in which rooms it listens, to whom it answers, and how often.

It is there for one local user in a room of just these two. It never answers itself, another bot's notice or an old
message, and says nothing in any other room.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from bridge.app.bot_desk import BotDesk
from bridge.bot import commands, replies
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.errors import TrunklineError
from bridge.core.ids import RoomId, UserId
from bridge.core.telemetry import Telemetry
from bridge.matrix import call_content
from bridge.matrix.events import RoomEvent
from bridge.store import Store

log = structlog.get_logger(__name__)

MAX_AGE_S = 300.0
"""What a homeserver delivers later than this nobody waits for any more."""
COMMANDS_AT_ONCE = 10
COMMAND_INTERVAL_S = 3.0
WARNING_INTERVAL_S = 60.0

_ENCRYPTION = ("m.room.encryption", "m.room.encrypted")
_ENCRYPTED_TOPIC = "bot_encrypted"


class BotRooms(Protocol):
    """What the conversation needs of the homeserver; `bridge.matrix.service.MatrixService` has it."""

    @property
    def bot(self) -> UserId: ...

    async def send(
        self, *, room_id: RoomId, sender: UserId, event_type: str, content: Mapping[str, Any], txn_id: str
    ) -> None: ...

    async def joined_members(self, room_id: RoomId) -> frozenset[UserId]: ...

    async def is_encrypted(self, room_id: RoomId) -> bool: ...

    def is_local(self, user_id: UserId) -> bool: ...


class BotRoom:
    """All conversations of the bot."""

    def __init__(self, *, desk: BotDesk, matrix: BotRooms, store: Store, clock: Clock, telemetry: Telemetry) -> None:
        self._desk = desk
        self._matrix = matrix
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._commands = Budgets(burst=COMMANDS_AT_ONCE, refill_s=COMMAND_INTERVAL_S)
        self._warnings = Budgets(burst=1, refill_s=WARNING_INTERVAL_S)

    def concerns(self, event: RoomEvent) -> bool:
        """Whether an event can have anything to do with the bot, and then with nobody else."""
        if event.type == "m.room.member":
            return event.state_key == self._matrix.bot
        return event.type == "m.room.message" or event.type in _ENCRYPTION

    async def handle(self, event: RoomEvent) -> None:
        """Take one event of a room, in the room's order."""
        try:
            if not await self._is_ours(event):
                return
            if event.type == "m.room.member":
                await self._greet(event)
            elif event.type in _ENCRYPTION:
                await self._explain_encryption(event)
            else:
                await self._listen(event)
        except TrunklineError as error:
            log.warning("bot_event_not_worked_on", detail=str(error), room_id=event.room_id, event_id=event.event_id)

    async def _is_ours(self, event: RoomEvent) -> bool:
        """Whether this is a room of the bot and the local user whose event this is, and of nobody else."""
        if event.type == "m.room.member" and event.content.get("membership") != "invite":
            return False
        if event.type == "m.room.message" and _spoken(event) is None:
            return False
        if not self._matrix.is_local(event.sender):
            return False
        return await self._matrix.joined_members(event.room_id) == {self._matrix.bot, event.sender}

    async def _greet(self, event: RoomEvent) -> None:
        """It was invited, and has joined."""
        if await self._matrix.is_encrypted(event.room_id):
            await self._explain_encryption(event)
        else:
            await self._say(event, replies.GREETING)

    async def _explain_encryption(self, event: RoomEvent) -> None:
        if await self._store.notices.claim(event.room_id, _ENCRYPTED_TOPIC):
            await self._say(event, replies.ENCRYPTED)

    async def _listen(self, event: RoomEvent) -> None:
        text, now = _spoken(event), self._clock.monotonic()
        if text is None or event.age_ms / 1000 + now - event.received_at > MAX_AGE_S:
            return
        if not self._commands.spend(event.sender, now):
            if self._warnings.spend(event.sender, now):
                await self._say(event, replies.TOO_FAST)
            return
        command = commands.parse(text)
        self._telemetry.count("bot_commands_total", command=type(command).__name__)
        await self._say(event, await self._answer(event.sender, command))

    async def _answer(self, user: UserId, command: commands.Command) -> str:
        try:
            return await self._desk.do(user, command)
        except TrunklineError as error:
            log.warning("bot_command_failed", command=type(command).__name__, detail=str(error))
            return replies.FAILED

    async def _say(self, event: RoomEvent, text: str) -> None:
        """One answer to each event, also when the event is worked on again."""
        answer = call_content.notice(text)
        await self._matrix.send(
            room_id=event.room_id,
            sender=self._matrix.bot,
            event_type=answer.type,
            content=answer.content,
            txn_id=f"bot.{event.event_id}",
        )


def _spoken(event: RoomEvent) -> str | None:
    """What a person wrote: no notice (specification, `m.notice`: bots must not answer them), no edit, no picture."""
    content, relation = event.content, event.content.get("m.relates_to")
    body = content.get("body")
    if content.get("msgtype") != "m.text" or not isinstance(body, str) or not body.strip():
        return None
    edited = isinstance(relation, Mapping) and relation.get("rel_type") == "m.replace"
    return None if edited else body
