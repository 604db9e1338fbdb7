"""What calls have used, and who is suspended, is there after a restart."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine

from bridge.core.ids import CallId, UserId
from bridge.store import Store, migrations
from bridge.store.spending import StoredMeter, StoredSuspension, StoredUse

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "store.sqlite3")
    yield opened
    await opened.close()


def use(account: str, day: str, seconds: float, cost: int) -> StoredUse:
    return StoredUse(account=account, day=day, seconds=seconds, cost=cost)


async def test_what_a_call_is_paid_until_is_written_with_what_it_uses(store: Store) -> None:
    paid = StoredMeter(call_id=CallId("one"), since=100.0, seconds=10.0, cost=5)
    more = replace(paid, seconds=20.0, cost=10)
    other = replace(paid, call_id=CallId("two"))
    for meter in (paid, other, more):
        await store.spending.add([use(ALICE, "2026-03-31", 10.0, 5)], meter)
    assert await store.spending.meters() == {"one": more, "two": other}
    await store.spending.forget_meter(CallId("one"))
    assert await store.spending.meters() == {"two": other}
    await store.spending.forget_meters()
    assert await store.spending.meters() == {}


async def test_uses_add_up_by_account_and_day(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        await store.spending.add([use(ALICE, "2026-03-31", 10.0, 5), use("example.org", "2026-03-31", 10.0, 5)])
    await store.spending.add([use(ALICE, "2026-04-01", 1.0, 0)])
    await store.close()
    again = await Store.open(tmp_path / "store.sqlite3")
    try:
        assert set(await again.spending.since("2026-03-01")) == {
            use(ALICE, "2026-03-31", 30.0, 15),
            use("example.org", "2026-03-31", 30.0, 15),
            use(ALICE, "2026-04-01", 1.0, 0),
        }
        assert await again.spending.since("2026-04-01") == (use(ALICE, "2026-04-01", 1.0, 0),)
        await again.spending.prune(before="2026-04-01")
        assert await again.spending.since("") == (use(ALICE, "2026-04-01", 1.0, 0),)
    finally:
        await again.close()


async def test_a_suspension_lasts_until_it_is_dropped(store: Store) -> None:
    first = StoredSuspension(user_id=ALICE, reason="countries", until=5.0)
    longer = StoredSuspension(user_id=ALICE, reason="wangiri", until=9.0)
    other = StoredSuspension(user_id=BOB, reason="sequential", until=7.0)
    for suspension in (first, longer, other):
        await store.suspensions.put(suspension)
    assert set(await store.suspensions.all()) == {longer, other}
    await store.suspensions.drop(ALICE)
    assert await store.suspensions.all() == (other,)


def test_what_users_have_used_does_not_count_twice_for_those_who_share_a_limit(tmp_path: Path) -> None:
    """Until then a shared limit had an account of its own, beside those of users with a limit of their own."""
    day, bob, couple = "2026-03-31", "@bob:example.org", "@alice:example.org @bob:example.org"
    engine = create_engine(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    with engine.connect() as connection:
        move_to(connection, "0015")
        for account, seconds in (("example.org", 100.0), (couple, 70.0), (bob, 30.0), ("@eve:elsewhere.net", 5.0)):
            connection.exec_driver_sql(
                "INSERT INTO spending VALUES (?, ?, ?, ?)", (account, day, seconds, int(seconds))
            )
        connection.exec_driver_sql("INSERT INTO spending VALUES (?, '2026-03-30', 9.0, 9)", ("example.org",))
        move_to(connection, "0016")
        rows = connection.exec_driver_sql("SELECT account, day, seconds, cost FROM spending")
        assert {(account, at): (seconds, cost) for account, at, seconds, cost in rows} == {
            ("example.org", day): (30.0, 30),
            (couple, day): (40.0, 40),
            (bob, day): (30.0, 30),
            ("@eve:elsewhere.net", day): (5.0, 5),
            ("example.org", "2026-03-30"): (9.0, 9),
        }
    engine.dispose()


def move_to(connection: Connection, revision: str) -> None:
    """Bring a database to the shape of a version."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
