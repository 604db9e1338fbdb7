"""What calls have used of whose limit, and who is suspended: money, so each word of it is on disk when it counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from bridge.core.ids import CallId, UserId
from bridge.store.database import Database
from bridge.store.tables import paid_calls, spending, suspensions


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUse:
    """Used of one account on one day, in seconds and millionths."""

    account: str
    day: str
    """ISO 8601."""
    seconds: float
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMeter:
    """A call that is being paid for."""

    call_id: CallId
    since: float
    """When it began to cost something, in seconds since 1970."""
    seconds: float
    """Until when it is paid, from then on."""
    cost: int
    """Millionths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSuspension:
    """A user who may not call out, why, and until when (seconds since 1970)."""

    user_id: UserId
    reason: str
    until: float


class SpendTable:
    """Sums by account and day."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, uses: Sequence[StoredUse], meter: StoredMeter | None = None) -> None:
        """Add to what is written, durably, and with it how far the call is paid that this is for."""

        def work(connection: Connection) -> None:
            for use in uses:
                row = insert(spending).values(account=use.account, day=use.day, seconds=use.seconds, cost=use.cost)
                more = {"seconds": spending.c.seconds + use.seconds, "cost": spending.c.cost + use.cost}
                connection.execute(row.on_conflict_do_update(index_elements=["account", "day"], set_=more))
            if meter is not None:
                values = {name: getattr(meter, name) for name in ("since", "seconds", "cost")}
                paid = insert(paid_calls).values(call_id=meter.call_id, **values)
                connection.execute(paid.on_conflict_do_update(index_elements=["call_id"], set_=values))

        await self._database.write(work)

    async def meters(self) -> dict[CallId, StoredMeter]:
        """The calls that were being paid for, those of a process that died included."""

        def work(connection: Connection) -> dict[CallId, StoredMeter]:
            return {
                row.call_id: StoredMeter(call_id=row.call_id, since=row.since, seconds=row.seconds, cost=row.cost)
                for row in connection.execute(select(paid_calls))
            }

        return await self._database.read(work)

    async def forget_meter(self, call_id: CallId) -> None:
        """The call is over."""

        def work(connection: Connection) -> None:
            connection.execute(delete(paid_calls).where(paid_calls.c.call_id == call_id))

        await self._database.write(work, durable=False)

    async def forget_meters(self) -> None:
        """All of them are over, and booked."""

        def work(connection: Connection) -> None:
            connection.execute(delete(paid_calls))

        await self._database.write(work)

    async def since(self, day: str) -> tuple[StoredUse, ...]:
        """Everything from a day on."""
        statement = select(spending).where(spending.c.day >= day)

        def work(connection: Connection) -> tuple[StoredUse, ...]:
            return tuple(
                StoredUse(account=row.account, day=row.day, seconds=row.seconds, cost=row.cost)
                for row in connection.execute(statement)
            )

        return await self._database.read(work)

    async def prune(self, *, before: str) -> None:
        """Forget days that no limit adds up any more."""

        def work(connection: Connection) -> None:
            connection.execute(delete(spending).where(spending.c.day < before))

        await self._database.write(work, durable=False)


class SuspensionTable:
    """Suspensions by user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[StoredSuspension, ...]:
        """Everybody's, those that are over included."""

        def work(connection: Connection) -> tuple[StoredSuspension, ...]:
            return tuple(
                StoredSuspension(user_id=UserId(row.user_id), reason=row.reason, until=row.until)
                for row in connection.execute(select(suspensions))
            )

        return await self._database.read(work)

    async def put(self, suspension: StoredSuspension) -> None:
        """Begin one, or make it longer."""
        values = {"reason": suspension.reason, "until": suspension.until}
        row = insert(suspensions).values(user_id=suspension.user_id, **values)

        def work(connection: Connection) -> None:
            connection.execute(row.on_conflict_do_update(index_elements=["user_id"], set_=values))

        await self._database.write(work)

    async def drop(self, user_id: UserId) -> None:
        """End one."""

        def work(connection: Connection) -> None:
            connection.execute(delete(suspensions).where(suspensions.c.user_id == user_id))

        await self._database.write(work)
