"""A homeserver, and a Matrix side connected to it, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.homeserver import ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge


@pytest.fixture
async def hs() -> AsyncIterator[ScriptedHomeserver]:
    async with ScriptedHomeserver() as server:
        yield server


@pytest.fixture
async def bridge(hs: ScriptedHomeserver, tmp_path: Path) -> AsyncIterator[Bridge]:
    async with running_bridge(hs, tmp_path / "store.sqlite3") as running:
        yield running
