"""A stage for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from bridge.store import Store
from tests.app.stage import Stage


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    store = await Store.open(tmp_path / "store.sqlite3")
    stage = Stage(store=store)
    yield stage
    await stage.switchboard.shut_down(2.0)
    await store.close()
