"""Work keeps the order of its room, whatever fits into memory and whether the store works or not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from bridge.core.ids import RoomId
from bridge.matrix import room_queues
from bridge.matrix.room_queues import RoomQueues
from bridge.store import StoreError
from tests.matrix.bridge_fixture import Counts
from tests.patience import PATIENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    position: int
    room_id: RoomId


class Disk:
    """A backlog in memory; `gate` holds the work up, `failures` make the store fail."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.done: list[Piece] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.changed = asyncio.Condition()
        self.log_contexts: list[dict[str, Any]] = []

    def add(self, room: str, count: int) -> list[Piece]:
        new = [Piece(position=len(self.pieces) + n + 1, room_id=RoomId(room)) for n in range(count)]
        self.pieces += new
        return new

    def _waiting(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece not in self.done]

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")

    async def handle(self, item: Piece) -> None:
        self.entered.set()
        await self.gate.wait()
        self._fail()
        self.log_contexts.append(get_contextvars())
        async with self.changed:
            self.done.append(item)
            self.changed.notify_all()

    async def load(self, room_id: RoomId, limit: int) -> Sequence[Piece]:
        self._fail()
        return [piece for piece in self._waiting() if piece.room_id == room_id][:limit]

    async def rooms(self, limit: int) -> Sequence[RoomId]:
        self._fail()
        return list(dict.fromkeys(piece.room_id for piece in self._waiting()))[:limit]

    async def wait_done(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: len(self.done) >= count)

    def order(self, room: str) -> list[int]:
        return [piece.position for piece in self.done if piece.room_id == room]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_queues, "_RETRY_S", (0.001,))


@pytest.fixture
async def group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as tasks:
        yield tasks


def queues(disk: Disk, *, max_rooms: int = 3, max_items: int = 4) -> RoomQueues[Piece]:
    return RoomQueues(disk, component="test", telemetry=Counts(), max_rooms=max_rooms, max_items=max_items)


async def test_what_is_on_disk_at_the_start_is_done(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    disk.add("!a", 10)
    disk.add("!b", 1)
    queues(disk).start(group)
    await disk.wait_done(11)
    assert disk.order("!a") == list(range(1, 11))


async def test_a_full_queue_goes_on_from_the_disk(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    rooms = queues(disk)
    rooms.start(group)
    disk.gate.clear()
    for piece in disk.add("!a", 50):
        rooms.offer(piece.room_id, piece)
    await disk.entered.wait()
    disk.gate.set()
    await disk.wait_done(20)
    for piece in disk.add("!a", 20):
        rooms.offer(piece.room_id, piece)
    await disk.wait_done(70)
    assert disk.order("!a") == list(range(1, 71))


async def test_more_rooms_than_workers_take_turns(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    rooms = queues(disk)
    rooms.start(group)
    for n in range(40):
        for piece in disk.add(f"!room{n}", 2):
            rooms.offer(piece.room_id, piece)
    await disk.wait_done(80)
    for n in range(40):
        assert disk.order(f"!room{n}") == [2 * n + 1, 2 * n + 2]


async def test_a_store_that_fails_for_a_while_costs_nothing(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    disk.failures = 5
    disk.add("!a", 6)
    rooms = queues(disk)
    rooms.start(group)
    await disk.wait_done(6)
    disk.failures = 3
    for piece in disk.add("!a", 2):
        rooms.offer(piece.room_id, piece)
    await disk.wait_done(8)
    assert disk.order("!a") == list(range(1, 9))


async def test_stopping_finishes_what_is_at_work_and_leaves_the_rest(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    disk.gate.clear()
    rooms = queues(disk)
    rooms.start(group)
    for piece in disk.add("!a", 3):
        rooms.offer(piece.room_id, piece)
    await disk.entered.wait()
    stopping = asyncio.ensure_future(rooms.stop(finish=False))
    await asyncio.wait([stopping], timeout=0)
    disk.gate.set()
    async with asyncio.timeout(PATIENCE_S):
        await stopping
    assert disk.order("!a") == [1]
    rooms.offer(RoomId("!b"), Piece(position=9, room_id=RoomId("!b")))
    assert disk.order("!b") == []


async def test_stopping_can_finish_what_waits_in_memory(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    rooms = queues(disk)
    rooms.start(group)
    for piece in disk.add("!a", 3):
        rooms.offer(piece.room_id, piece)
    async with asyncio.timeout(PATIENCE_S):
        await rooms.stop(finish=True)
    assert disk.order("!a") == [1, 2, 3]


async def test_stopping_does_not_wait_for_a_store_that_fails(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    disk.failures = 1_000_000
    rooms = queues(disk)
    rooms.start(group)
    for piece in disk.add("!a", 3):
        rooms.offer(piece.room_id, piece)
    await disk.entered.wait()
    async with asyncio.timeout(PATIENCE_S):
        await rooms.stop(finish=True)
    assert disk.done == []


async def test_each_item_is_logged_under_the_call_that_handed_it_in(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    rooms = queues(disk)
    rooms.start(group)
    disk.gate.clear()
    first, second, third = disk.add("!a", 3)
    with bound_contextvars(call_id="A"):
        rooms.offer(first.room_id, first)
    with bound_contextvars(call_id="B"):
        rooms.offer(second.room_id, second)
    rooms.offer(third.room_id, third)
    disk.gate.set()
    await disk.wait_done(3)
    assert disk.log_contexts == [{"call_id": "A"}, {"call_id": "B"}, {}]


async def test_what_is_read_from_the_disk_is_logged_under_no_call(group: asyncio.TaskGroup) -> None:
    disk = Disk()
    rooms = queues(disk, max_rooms=1, max_items=1)
    with bound_contextvars(call_id="A"):
        rooms.start(group)
        for piece in [*disk.add("!a", 3), *disk.add("!b", 1)]:
            rooms.offer(piece.room_id, piece)
    await disk.wait_done(4)
    assert disk.log_contexts == [{"call_id": "A"}, {}, {}, {}]


async def test_what_is_offered_when_the_workers_are_gone_stays_on_disk() -> None:
    disk = Disk()
    rooms = queues(disk)
    async with asyncio.TaskGroup() as group:
        rooms.start(group)
    rooms.abandon()
    for piece in disk.add("!a", 1):
        rooms.offer(piece.room_id, piece)
    async with asyncio.timeout(PATIENCE_S):
        await rooms.stop(finish=True)
    assert disk.done == []
