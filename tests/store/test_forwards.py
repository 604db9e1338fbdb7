"""Calls that were forwarded lately are known after a restart, as many as anybody counts."""

from pathlib import Path

from bridge.core.ids import UserId
from bridge.store.forwards import StoredForward
from tests.stores import open_store

ALICE = UserId("@alice:example.org")


def forward(at: float, caller: str = "+15550177") -> StoredForward:
    return StoredForward(user_id=ALICE, caller=caller, at=at)


async def test_the_newest_are_read_in_their_order_and_old_ones_forgotten(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "db")
    for at in (10.0, 20.0, 30.0):
        await store.forwards.add(forward(at))
    await store.forwards.add(forward(40.0, caller=""))
    await store.close()
    again = await open_store(tmp_path / "db")
    try:
        assert await again.forwards.since(10.0, limit=9) == (forward(20.0), forward(30.0), forward(40.0, caller=""))
        assert await again.forwards.since(0.0, limit=2) == (forward(30.0), forward(40.0, caller=""))
        await again.prune(now=30.0 + 24 * 3600.0)
        assert await again.forwards.since(0.0, limit=9) == (forward(30.0), forward(40.0, caller=""))
    finally:
        await again.close()


async def test_those_of_a_clock_that_was_wrong_do_not_count_for_ever(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "db")
    try:
        for at in (1_000.0, 1_060.0, 4e9):
            await store.forwards.add(forward(at))
        await store.prune(now=1_000.0)
        assert await store.forwards.since(0.0, limit=9) == (forward(1_000.0), forward(1_060.0))
    finally:
        await store.close()
