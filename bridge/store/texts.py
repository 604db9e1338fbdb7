"""How many text messages users have sent on which day: whoever limits them must know of those before a restart."""

from datetime import UTC, datetime

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import UserId
from bridge.store.database import Database
from bridge.store.tables import sent_texts


class SentTexts:
    """Sums by user and day (ISO 8601), the parts of a text counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_id: UserId, day: str, parts: int) -> None:
        """Add to what is written."""
        row = insert(sent_texts).values(user_id=user_id, day=day, parts=parts)
        more = {"parts": sent_texts.c.parts + parts}
        statement = row.on_conflict_do_update(index_elements=["user_id", "day"], set_=more)

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(work)

    async def on(self, day: str) -> dict[UserId, int]:
        """What everybody has sent that day."""
        statement = select(sent_texts).where(sent_texts.c.day == day)

        def work(connection: Connection) -> dict[UserId, int]:
            return {UserId(row.user_id): row.parts for row in connection.execute(statement)}

        return await self._database.read(work)

    async def prune(self, *, before: float, after: float) -> None:
        """Forget days that no limit counts any more, and those to come, by a clock that was wrong."""
        day, first, last = sent_texts.c.day, _day(before), _day(after)

        def work(connection: Connection) -> None:
            connection.execute(delete(sent_texts).where(or_(day < first, day > last)))

        await self._database.write(work, durable=False)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
