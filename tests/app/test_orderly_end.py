"""What was decided is on disk when the bridge has ended in an orderly way."""

from datetime import date
from pathlib import Path

import pytest

from bridge.app.application import Application
from bridge.app.forward_book import ForwardBook
from bridge.config import load_config
from bridge.core.ids import UserId
from bridge.numbers.ledger import Booking
from tests.e2e.running_bridge import Bridge
from tests.peers.process import LOOPBACK, free_port
from tests.stores import open_store

ALICE = UserId("@alice:example.org")
DAY = date(2026, 11, 28)
MANY = 500
"""More than are written while the other parts stop."""


async def test_what_was_booked_and_forwarded_last_is_known_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books: list[ForwardBook] = []

    class Known(ForwardBook):
        async def load(self) -> None:
            books.append(self)
            await super().load()

    monkeypatch.setattr("bridge.app.application.ForwardBook", Known)
    nowhere = f"http://{LOOPBACK}:{free_port()}"
    written = Bridge(tmp_path, homeserver_url=nowhere, server_name="example.org", settings={})
    written.use_tokens(as_token="a" * 32, hs_token="h" * 32)
    written.write_config()
    config = load_config(written.config)
    async with Application(config).running() as bridge:
        for _ in range(MANY):
            bridge.meter.cash_book.note([Booking(account=ALICE, day=DAY, seconds=1.0, cost=1)])
            books[0].note(ALICE, "+15550177")
    store = await open_store(config.store.path)
    try:
        (use,) = await store.spending.since(DAY.isoformat())
        assert use.seconds == MANY
        assert len(await store.forwards.since(0.0, limit=2 * MANY)) == MANY
    finally:
        await store.close()
