"""A small homeserver in memory that does what a test tells it to.

It speaks the part of the client-server API that an application service needs, pushes transactions the way Synapse does
(one in flight, in order, repeated until 200, at most 100 events) and fails on command. It runs in the loop of the test.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import aiohttp
from aiohttp import web

from bridge.core.ids import RoomId, UserId
from tests.homeserver_api import ClientServerApi
from tests.homeserver_model import Event, Fault
from tests.patience import PATIENCE_S

__all__ = ["Fault", "ScriptedHomeserver"]

Predicate = Callable[[Event], bool]
T = TypeVar("T")

_TRANSACTION_SIZE = 100


class ScriptedHomeserver(ClientServerApi):
    """`async with ScriptedHomeserver(...) as hs`, then `hs.connect(url)` once the application service listens."""

    # --- life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "ScriptedHomeserver":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        host, bound = self._runner.addresses[0][:2]
        self.port = int(bound)
        self.url = f"http://{host}:{bound}"
        self.open_session()
        self._pusher = asyncio.create_task(self._push_forever())

    async def stop(self) -> None:
        self._pusher.cancel()
        await asyncio.gather(self._pusher, return_exceptions=True)
        await self.close_session()
        await self._runner.cleanup()

    def connect(self, appservice_url: str) -> None:
        """Push to `appservice_url` from now on; until then transactions wait."""
        self.appservice_url = appservice_url
        self._work.set()

    def disconnect(self) -> None:
        """Hold all transactions back, as if the application service were down."""
        self.appservice_url = ""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Push what is sent meanwhile in one transaction."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._work.set()

    # --- what tests look at --------------------------------------------------------------------------------

    async def create_dm(
        self, user: UserId, ghost: UserId, *, wait: bool = True, timeout_s: float = PATIENCE_S
    ) -> RoomId:
        """A direct room as a client makes it; `wait` returns only when the ghost has joined."""
        room_id = await self.create_room(user, invite=[ghost], is_direct=True)
        if wait:
            await self.wait_member(room_id, ghost, "join", timeout_s=timeout_s)
        return room_id

    def events(self, room_id: RoomId, event_type: str = "") -> list[Event]:
        return [e for e in self.rooms[room_id].timeline if not event_type or e["type"] == event_type]

    async def wait_event(
        self, room_id: RoomId, event_type: str, predicate: Predicate | None = None, timeout_s: float = PATIENCE_S
    ) -> Event:
        """The first event of that kind, already there or still to come."""

        def found() -> Event | None:
            hits = self.events(room_id, event_type)
            return next((e for e in hits if predicate is None or predicate(e)), None)

        event = await self.wait_until(found, timeout_s=timeout_s)
        assert event is not None
        return event

    async def wait_member(self, room_id: RoomId, user: str, membership: str, timeout_s: float = PATIENCE_S) -> None:
        await self.wait_until(lambda: self.rooms[room_id].membership(user) == membership, timeout_s=timeout_s)

    async def wait_until(self, condition: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
        """Until `condition()` is true; looked at after every event, request and push."""
        async with asyncio.timeout(timeout_s), self._changed:
            while not (result := condition()):
                await self._changed.wait()
            return result

    async def wait_idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Until everything has been pushed and acknowledged."""
        await self.wait_until(lambda: not self._outgoing, timeout_s=timeout_s)

    # --- pushing --------------------------------------------------------------------------------------------------

    async def _push_forever(self) -> None:
        for txn_id in itertools.count(1):
            while not self._outgoing or self._gathering:
                self._work.clear()
                await self._work.wait()
            batch = list(itertools.islice(self._outgoing, _TRANSACTION_SIZE))
            body = await self._push_until_done(str(txn_id), batch)
            self.transactions.append((str(txn_id), body))
            for _ in batch:
                self._outgoing.popleft()
            await self._tell()

    async def _push_until_done(self, txn_id: str, batch: list[Event]) -> bytes:
        delay_s = self._retry_delay_s
        while True:
            body = json.dumps({"events": [self._aged(event) for event in batch]}).encode()
            if self.appservice_url and await self._push_once(txn_id, body):
                return body
            self._retry_now.clear()
            self.held_back = True
            await self._tell()
            try:
                async with asyncio.timeout(delay_s):
                    await self._retry_now.wait()
            except TimeoutError:
                delay_s = min(delay_s * 2, 1.0)

    async def _push_once(self, txn_id: str, body: bytes) -> bool:
        try:
            status, _ = await self.ask("PUT", f"/_matrix/app/v1/transactions/{txn_id}", body)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            status = 0
        if status != 200:
            self.failed_pushes += 1
        return status == 200
