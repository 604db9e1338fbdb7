"""Messages that phones have left, until their users have them; the audio is in files beside the database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Executable, delete, func, insert, select, update

from bridge.core.ids import UserId
from bridge.store.database import Database
from bridge.store.tables import messages


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One message."""

    message_id: str
    user_id: UserId
    number: str
    """Who has left it; empty when the number was withheld."""
    caller_name: str
    left_at: float
    """Seconds since 1970 at which it was begun."""
    duration_s: float = 0.0
    waveform: tuple[int, ...] = field(default=())
    whole: bool = False
    """Whether the recording has ended: then it may be delivered."""


class MessageTable:
    """All of them, the oldest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, message: StoredMessage) -> None:
        """Note that one is being recorded: a crash must not lose it."""
        values = {name: getattr(message, name) for name in StoredMessage.__slots__ if name != "waveform"}
        statement = insert(messages).values(**values, waveform=json.dumps(message.waveform))
        await self._write(statement)

    async def finish(self, message_id: str, *, duration_s: float, waveform: Sequence[int]) -> None:
        """It is whole, and may be delivered."""
        values = {"duration_s": duration_s, "waveform": json.dumps(list(waveform)), "whole": True}
        await self._write(update(messages).where(messages.c.message_id == message_id).values(**values))

    async def drop(self, message_id: str) -> None:
        """It was delivered, or there is nothing in it."""
        await self._write(delete(messages).where(messages.c.message_id == message_id))

    async def all(self) -> tuple[StoredMessage, ...]:
        """Everything that nobody has yet."""
        statement = select(messages).order_by(messages.c.left_at, messages.c.message_id)

        def work(connection: Connection) -> tuple[StoredMessage, ...]:
            return tuple(
                StoredMessage(
                    message_id=row.message_id,
                    user_id=UserId(row.user_id),
                    number=row.number,
                    caller_name=row.caller_name,
                    left_at=row.left_at,
                    duration_s=row.duration_s,
                    waveform=tuple(json.loads(row.waveform)),
                    whole=row.whole,
                )
                for row in connection.execute(statement)
            )

        return await self._database.read(work)

    async def count(self) -> int:
        """How many there are."""
        statement = select(func.count()).select_from(messages)
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def _write(self, statement: Executable) -> None:
        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work)
