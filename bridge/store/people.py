"""What belongs to a user: settings, unwanted callers, names for numbers, past calls."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Row, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import UserId
from bridge.core.presence import RingWhen
from bridge.store.database import Database
from bridge.store.tables import blocked_numbers, own_names, past_calls, user_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSettings:
    """What a user has set."""

    do_not_disturb: bool = False
    forward: str = ""
    """The number that the user's calls go to instead; empty rings the user."""
    ring_when: RingWhen | None = None
    """What the user's presence has to be for a call to ring; `None` leaves it to the configuration."""
    withheld: bool | None = None
    """Whether the user's number is kept from those whom the user calls; `None` leaves it to the configuration."""
    hours: str = ""
    """When phones may ring, as `bridge.numbers.hours` reads it; empty is always."""
    refuses_anonymous: bool = False
    """Whether callers who show no number are turned away."""


class SettingsTable:
    """Settings by user; who has changed nothing is not in it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[UserId, StoredSettings]:
        """Everybody's."""

        def work(connection: Connection) -> dict[UserId, StoredSettings]:
            return {UserId(row.user_id): _settings(row) for row in connection.execute(select(user_settings))}

        return await self._database.read(work)

    async def put(self, user_id: UserId, settings: StoredSettings, blocked: Collection[str] | None = None) -> None:
        """Remember what a user has set; the user was told so, so it is on disk when this returns.

        `blocked` are the callers that the user blocks with it, and no others.
        """
        values = {
            "do_not_disturb": settings.do_not_disturb,
            "forward": settings.forward,
            "ring_when": settings.ring_when or "",
            "withheld": settings.withheld,
            "hours": settings.hours,
            "refuses_anonymous": settings.refuses_anonymous,
        }
        statement: Executable = delete(user_settings).where(user_settings.c.user_id == user_id)
        if settings != StoredSettings():
            row = insert(user_settings).values(user_id=user_id, **values)
            statement = row.on_conflict_do_update(index_elements=["user_id"], set_=values)

        def work(connection: Connection) -> None:
            connection.execute(statement)
            if blocked is not None:
                _block_only(connection, user_id, blocked)

        await self._database.write(work)


def _settings(row: Row[Any]) -> StoredSettings:
    return StoredSettings(
        do_not_disturb=row.do_not_disturb,
        forward=row.forward,
        ring_when=RingWhen(row.ring_when) if row.ring_when in set(RingWhen) else None,
        withheld=row.withheld,
        hours=row.hours,
        refuses_anonymous=row.refuses_anonymous,
    )


class BlockedNumbers:
    """Unwanted callers by user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[tuple[UserId, str], ...]:
        """Everybody's."""

        def work(connection: Connection) -> tuple[tuple[UserId, str], ...]:
            return tuple((UserId(row.user_id), row.number) for row in connection.execute(select(blocked_numbers)))

        return await self._database.read(work)

    async def put(self, user_id: UserId, number: str) -> None:
        """Block a caller."""
        row = insert(blocked_numbers).values(user_id=user_id, number=number)
        await _write(self._database, row.on_conflict_do_nothing())

    async def drop(self, user_id: UserId, number: str) -> None:
        """Let a caller through again."""
        mine = (blocked_numbers.c.user_id == user_id, blocked_numbers.c.number == number)
        await _write(self._database, delete(blocked_numbers).where(*mine))


def _block_only(connection: Connection, user_id: UserId, numbers: Collection[str]) -> None:
    rows = [{"user_id": user_id, "number": number} for number in numbers]
    connection.execute(delete(blocked_numbers).where(blocked_numbers.c.user_id == user_id))
    if rows:
        connection.execute(insert(blocked_numbers).on_conflict_do_nothing(), rows)


class OwnNames:
    """Names by user and number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UserId, number: str) -> str:
        """The user's name for a number, or nothing."""
        statement = select(own_names.c.name).where(own_names.c.user_id == user_id, own_names.c.number == number)
        return await self._database.read(lambda connection: connection.execute(statement).scalar() or "")

    async def of(self, user_id: UserId) -> Mapping[str, str]:
        """All names of a user by number."""
        statement = select(own_names).where(own_names.c.user_id == user_id)

        def work(connection: Connection) -> dict[str, str]:
            return {row.number: row.name for row in connection.execute(statement)}

        return await self._database.read(work)

    async def all(self) -> tuple[tuple[UserId, str], ...]:
        """Who has named which number."""
        statement = select(own_names.c.user_id, own_names.c.number)

        def work(connection: Connection) -> tuple[tuple[UserId, str], ...]:
            return tuple((UserId(row.user_id), row.number) for row in connection.execute(statement))

        return await self._database.read(work)

    async def put(self, user_id: UserId, number: str, name: str, *, limit: int) -> bool:
        """Name a number, or with an empty name forget what it is called; false when the user has `limit` already."""
        if not name:
            mine = (own_names.c.user_id == user_id, own_names.c.number == number)
            await _write(self._database, delete(own_names).where(*mine))
            return True
        others = select(func.count()).where(own_names.c.user_id == user_id, own_names.c.number != number)
        row = insert(own_names).values(user_id=user_id, number=number, name=name)
        row = row.on_conflict_do_update(index_elements=["user_id", "number"], set_={"name": name})

        def work(connection: Connection) -> bool:
            if connection.execute(others).scalar_one() >= limit:
                return False
            connection.execute(row)
            return True

        return await self._database.write(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """One call of a user that is over."""

    user_id: UserId
    number: str
    """The other end; empty when it was withheld."""
    direction: str
    reason: str
    """How it ended: `Verdict.reason`."""
    began_at: float
    ended_at: float
    talk_s: float
    """From answer to end; 0 when it was never answered."""


class PastCalls:
    """Users' calls in the order in which they ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, call: PastCall) -> None:
        """Note a call; like its record, it may be lost with the power."""
        values = {field: getattr(call, field) for field in PastCall.__slots__}
        await _write(self._database, insert(past_calls).values(values), durable=False)

    async def last(self, user_id: UserId, *, limit: int) -> tuple[PastCall, ...]:
        """A user's calls, the newest first."""
        newest = past_calls.c.position.desc()
        statement = select(past_calls).where(past_calls.c.user_id == user_id).order_by(newest).limit(limit)
        return await self._database.read(lambda connection: tuple(_call(row) for row in connection.execute(statement)))

    async def prune(self, *, before: float) -> None:
        """Forget what ended before `before`."""
        await _write(self._database, delete(past_calls).where(past_calls.c.ended_at < before), durable=False)


def _call(row: Row[Any]) -> PastCall:
    return PastCall(**{field: getattr(row, field) for field in PastCall.__slots__})


async def _write(database: Database, statement: Executable, *, durable: bool = True) -> None:
    def work(connection: Connection) -> None:
        connection.execute(statement)

    await database.write(work, durable=durable)
