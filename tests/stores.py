"""Stores for tests: a new database is a copy of one that was made once, since making one takes ten times as long."""

import functools
import tempfile
from pathlib import Path

from bridge.core.telemetry import NoTelemetry, Telemetry
from bridge.store import Store
from bridge.store.upgrade import upgrade_database


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "empty"
        upgrade_database(file)
        return file.read_bytes()


def _make(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_empty_database())


async def open_store(path: Path, telemetry: Telemetry | None = None) -> Store:
    """The store in this file, or a new one."""
    _make(path)
    return await Store.open(path, telemetry or NoTelemetry())
