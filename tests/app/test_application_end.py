"""What was decided before a bridge ends is on the disk when it has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.app import wiring
from bridge.app.application import Application
from bridge.app.forward_book import ForwardBook
from bridge.app.foundation import Foundation
from bridge.app.meter import Meter
from bridge.app.people import People
from bridge.app.user_settings import Wishes
from bridge.config import Config, load_config
from bridge.core.ids import UserId
from bridge.numbers.abuse import Suspicion
from bridge.numbers.accounts import Booking
from bridge.store.forwards import ForwardTable
from bridge.store.spending import SuspensionTable
from tests.e2e.running_bridge import Bridge
from tests.peers.process import LOOPBACK, free_port
from tests.stores import open_store

ALICE = UserId("@alice:example.org")
MANY = 500
"""More than are written while the other parts stop."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a bridge whose homeserver is away."""
    bridge = Bridge(tmp_path, homeserver_url=f"http://{LOOPBACK}:{free_port()}", server_name="example.org", settings={})
    bridge.use_tokens(as_token="a" * 32, hs_token="h" * 32)
    bridge.write_config()
    return load_config(bridge.config)


class SlowDisk:
    """Writes of one table wait until somebody waits for them."""

    def __init__(self) -> None:
        self._waited_for = asyncio.Event()

    def write(self, write: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def slow(*given: Any) -> None:
            await self._waited_for.wait()
            await write(*given)

        return slow

    def drain(self, drain: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def waited_for(*given: Any) -> None:
            self._waited_for.set()
            await drain(*given)

        return waited_for


async def test_what_was_forwarded_and_who_was_suspended_is_written_before_the_end(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarding, suspending = SlowDisk(), SlowDisk()
    monkeypatch.setattr(ForwardTable, "add", forwarding.write(ForwardTable.add))
    monkeypatch.setattr(ForwardBook, "drain", forwarding.drain(ForwardBook.drain))
    monkeypatch.setattr(SuspensionTable, "put", suspending.write(SuspensionTable.put))
    monkeypatch.setattr(Meter, "drain", suspending.drain(Meter.drain))

    def decided(base: Foundation, people: People, meter: Meter) -> Wishes:
        people.forwards.note(ALICE, "+15550177")
        meter._suspend(ALICE, Suspicion.WANGIRI)
        return made(base, people, meter)

    made = wiring.make_wishes
    monkeypatch.setattr(wiring, "make_wishes", decided)
    async with Application(config).running():
        pass
    store = await open_store(config.store.path)
    try:
        assert [known.user_id for known in await store.forwards.since(0.0, limit=9)] == [ALICE]
        assert [known.user_id for known in await store.suspensions.all()] == [ALICE]
    finally:
        await store.close()


async def test_what_was_booked_last_is_written_before_the_end(config: Config) -> None:
    today = datetime.now(UTC).date()
    async with Application(config).running() as bridge:
        for _ in range(MANY):
            bridge.meter.cash_book.note([Booking(account=ALICE, day=today, seconds=1.0, cost=1)])
    store = await open_store(config.store.path)
    try:
        (use,) = await store.spending.since(today.isoformat())
        assert use.seconds == MANY
    finally:
        await store.close()
