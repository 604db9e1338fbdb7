"""A Matrix side under test, connected to a scripted homeserver."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.core.clock import SystemClock
from bridge.core.entropy import SeededEntropy
from bridge.core.telemetry import NoTelemetry
from bridge.matrix.events import RoomEvent
from bridge.matrix.ghosts import NameOf
from bridge.matrix.link import RetryPolicy
from bridge.matrix.pictures import PictureOf
from bridge.matrix.service import MatrixService
from bridge.matrix.settings import MatrixSettings
from bridge.matrix.thirdparty import NumberDirectory
from bridge.numbers.number import canonical
from bridge.store import Store
from tests.homeserver import ScriptedHomeserver
from tests.patience import PATIENCE_S
from tests.stores import open_store

QUICK = RetryPolicy(first_s=0.01, longest_s=0.05)


class Counts(NoTelemetry):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], float] = {}
        self.gauges: dict[str, float] = {}
        self.healthy = asyncio.Event()
        self.unhealthy = asyncio.Event()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = (name, ",".join(f"{label}={value}" for label, value in sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name] = value
        if name == "matrix_homeserver_up":
            (self.healthy if value else self.unhealthy).set()


class Handled:
    """Collects the events that the application would get; a condition tells when one has come."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []
        self.during: Callable[[RoomEvent], Awaitable[None]] | None = None
        self._changed = asyncio.Condition()

    async def __call__(self, event: RoomEvent) -> None:
        if self.during is not None:
            await self.during(event)
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of_type(self, event_type: str) -> list[RoomEvent]:
        return [event for event in self.events if event.type == event_type]

    async def wait(self, event_type: str, count: int = 1, limit_s: float = PATIENCE_S) -> list[RoomEvent]:
        async with asyncio.timeout(limit_s), self._changed:
            await self._changed.wait_for(lambda: len(self.of_type(event_type)) >= count)
        return self.of_type(event_type)


def settings(
    hs: ScriptedHomeserver, *, appservice_url: str = "", sip_lookups: bool = False, avatar: str = ""
) -> MatrixSettings:
    return MatrixSettings(
        homeserver_url=hs.url,
        server_name=hs.server_name,
        listen_port=0,
        appservice_url=appservice_url,
        as_token=hs.as_token,
        hs_token=hs.hs_token,
        request_timeout_s=1.0,
        puppet_token=hs.puppet_token,
        admin_token=hs.admin_token,
        sip_lookups=sip_lookups,
        avatar=avatar,
    )


class Bridge:
    """The service, its store and what it handed over."""

    def __init__(self, service: MatrixService, store: Store, handled: Handled, telemetry: Counts) -> None:
        self.service = service
        self.store = store
        self.handled = handled
        self.telemetry = telemetry


@asynccontextmanager
async def running_bridge(
    hs: ScriptedHomeserver,
    database: Path,
    *,
    handled: Handled | None = None,
    connect: bool = True,
    directory: NumberDirectory | None = None,
    name_of: NameOf = lambda number: None,
    avatar: str = "",
    picture_of: PictureOf = lambda number: None,
) -> AsyncIterator[Bridge]:
    """Start the Matrix side on a database, and stop it in the end."""
    store = await open_store(database)
    telemetry = Counts()
    service = MatrixService(
        settings(hs, sip_lookups=directory is not None, avatar=avatar),
        store=store,
        clock=SystemClock(),
        entropy=SeededEntropy(1),
        telemetry=telemetry,
        read_number=lambda typed: canonical(typed, "US"),
        directory=directory,
        name_of=name_of,
        picture_of=picture_of,
        retry=QUICK,
    )
    handled = handled or Handled()
    await service.start(handled)
    try:
        if connect:
            host, port = service.address
            hs.connect(f"http://{host}:{port}")
            # So that what the bridge does at its start is not mistaken for what a test makes it do.
            await hs.wait_until(lambda: any("/ping" in path for _, path, _ in hs.requests))
        yield Bridge(service, store, handled, telemetry)
    finally:
        hs.disconnect()
        await service.stop()
        await store.close()
