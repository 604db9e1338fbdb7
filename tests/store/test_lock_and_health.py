"""One process for one database, and an honest word on whether it can be written to."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bridge.core.ids import CallId
from bridge.store import Store, StoreError
from bridge.store.lock import DatabaseLock


async def test_a_second_process_is_told_that_the_database_is_in_use(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.sqlite3")
    with pytest.raises(StoreError, match="in use by another trunkline process; end that first"):
        await Store.open(tmp_path / "store.sqlite3")
    await store.calls.put(CallId("call"), "still written")
    await store.close()
    again = await Store.open(tmp_path / "store.sqlite3")
    assert await again.calls.all() == {"call": "still written"}
    await again.close()


async def test_another_name_of_the_same_database_is_the_same_database(tmp_path: Path) -> None:
    (tmp_path / "alias.sqlite3").symlink_to(tmp_path / "store.sqlite3")
    store = await Store.open(tmp_path / "store.sqlite3")
    with pytest.raises(StoreError, match="in use"):
        await Store.open(tmp_path / "alias.sqlite3")
    await store.close()


async def test_a_database_that_cannot_be_opened_is_not_kept_locked(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(b"this is no database, however long one looks at it" * 100)
    with pytest.raises(StoreError):
        await Store.open(path)
    DatabaseLock(path).release()


def test_a_process_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from bridge.store.lock import DatabaseLock as L\n"
    code += "lock = L(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store.sqlite3")], timeout=30, check=False)
    DatabaseLock(tmp_path / "store.sqlite3").release()


async def limit_pages(store: Store, more: int) -> None:
    """Let the database grow by so many pages and no further, as on a disk that is full."""

    def work(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={int(pages) + more}"))

    await store._database.write(work)


def healthy(store: Store) -> bool:
    """Asked anew each time: a type checker takes a property for something that stays as it is."""
    return store.healthy


async def test_a_full_disk_is_told_until_a_write_succeeds_again(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.sqlite3")
    assert healthy(store)
    await limit_pages(store, 0)
    with pytest.raises(StoreError):
        await store.calls.put(CallId("call"), "x" * 100_000)
    assert not healthy(store)
    await limit_pages(store, 1_000)
    await store.calls.put(CallId("call"), "x" * 100_000)
    assert healthy(store)
    await store.close()
    assert not healthy(store)


async def test_closing_waits_for_a_read_whose_caller_has_gone(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.sqlite3")
    await store.calls.put(CallId("call"), "snapshot")
    reading = asyncio.create_task(store.calls.all())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.calls.all()
