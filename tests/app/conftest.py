"""A stage for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.app.stage import Stage
from tests.stores import open_store


@asynccontextmanager
async def open_stage(directory: Path, *, kind: type[Stage] = Stage, **changes: Any) -> AsyncIterator[Stage]:
    """A stage, and an orderly end for all that was played on it."""
    store = await open_store(directory / "store.sqlite3")
    stage = kind(store=store, folder=directory / "messages", **changes)
    yield stage
    await stage.switchboard.shut_down(2.0)
    await store.close()


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as stage:
        yield stage
