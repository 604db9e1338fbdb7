"""Work in the order of each room, rooms side by side, in bounded memory.

What is to be done is on disk before it is offered here; memory holds the beginning of it. A room whose queue is full,
and rooms beyond the number of workers, are read from the disk when their turn comes.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from bridge.core.ids import RoomId
from bridge.core.telemetry import Telemetry
from bridge.store import StoreError

_log = structlog.get_logger()
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class Positioned(Protocol):
    """Something with a place in the order of its room."""

    @property
    def position(self) -> int: ...


T = TypeVar("T")
Item = TypeVar("Item", bound=Positioned)


class Backlog(Protocol[Item]):
    """Where a queue's items are on disk, and what to do with one."""

    async def handle(self, item: Item) -> None:
        """Do the work of one item. After :class:`bridge.store.StoreError` it is asked again."""
        ...

    async def load(self, room_id: RoomId, limit: int) -> Sequence[Item]:
        """The next items of a room that have not been done."""
        ...

    async def rooms(self, limit: int) -> Sequence[RoomId]:
        """Rooms that have such items."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queued(Generic[Item]):
    """An item and what its log lines carry: the call of whoever handed it in, nothing after a restart."""

    item: Item
    log_context: Mapping[str, Any]


class _Lane(Generic[Item]):
    """One room's queue. While `on_disk`, what follows the items in memory is read from the disk."""

    def __init__(self, *, on_disk: bool) -> None:
        self.items: deque[_Queued[Item]] = deque()
        self.on_disk = on_disk
        self.missed = False
        self.last = 0


class RoomQueues(Generic[Item]):
    """One worker for each room that has work, made and ended on demand."""

    def __init__(
        self,
        backlog: Backlog[Item],
        *,
        component: str,
        telemetry: Telemetry,
        max_rooms: int = 500,
        max_items: int = 100,
    ) -> None:
        self._backlog = backlog
        self._component = component
        self._telemetry = telemetry
        self._max_rooms = max_rooms
        self._max_items = max_items
        self._lanes: dict[RoomId, _Lane[Item]] = {}
        self._rooms_on_disk = True
        self._refilling = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin with what earlier processes left on disk; `group` owns the workers."""
        self._group = group
        self._spawn(group, self._refill(), "recovery")

    def abandon(self) -> None:
        """The workers are gone: what is offered from now on stays on disk."""
        self._stopping = True

    def offer(self, room_id: RoomId, item: Item) -> None:
        """Hand in an item that is on disk already."""
        lane = self._lanes.get(room_id)
        if lane is None:
            self._open_lane(room_id, item)
        elif lane.on_disk or len(lane.items) >= self._max_items:
            lane.on_disk = lane.missed = True
        else:
            lane.items.append(_queued(item))

    async def stop(self, *, finish: bool) -> None:
        """Let the items at work end; with `finish` also those that wait in memory."""
        self._stopping = True
        if not finish:
            for lane in self._lanes.values():
                lane.items.clear()
        await self._idle.wait()

    def _open_lane(self, room_id: RoomId, item: Item | None) -> None:
        if self._group is None or self._stopping or len(self._lanes) >= self._max_rooms:
            self._rooms_on_disk = True
            return
        lane: _Lane[Item] = _Lane(on_disk=item is None)
        if item is not None:
            lane.items.append(_queued(item))
        self._lanes[room_id] = lane
        self._idle.clear()
        self._spawn(self._group, self._run(room_id, lane), "room")

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str) -> None:
        """In a context of its own: a worker outlives the call whose item it began with."""
        group.create_task(work, name=f"{self._component}-{name}", context=contextvars.Context())

    async def _run(self, room_id: RoomId, lane: _Lane[Item]) -> None:
        try:
            await self._drain(room_id, lane)
        finally:
            del self._lanes[room_id]
            if not self._lanes:
                self._idle.set()
        await self._refill()

    async def _drain(self, room_id: RoomId, lane: _Lane[Item]) -> None:
        while lane.items or (lane.on_disk and not self._stopping):
            if lane.items:
                await self._handle(lane)
            else:
                await self._load(room_id, lane)

    async def _handle(self, lane: _Lane[Item]) -> None:
        queued = lane.items.popleft()
        if queued.item.position <= lane.last:
            return
        lane.last = queued.item.position
        with structlog.contextvars.bound_contextvars(**queued.log_context):
            try:
                await self._persist(lambda: self._backlog.handle(queued.item))
            except Exception:
                self._telemetry.count("internal_errors_total", component=self._component)
                _log.exception("room_work_failed", component=self._component)

    async def _load(self, room_id: RoomId, lane: _Lane[Item]) -> None:
        lane.missed = False
        try:
            items = await self._persist(lambda: self._backlog.load(room_id, self._max_items))
        except StoreError:
            return  # Only while stopping: what is on disk stays there for the next process.
        lane.items.extend(_Queued(item=item, log_context={}) for item in items)
        # What was committed after the read has been offered since, and refused because of `on_disk`.
        lane.on_disk = lane.missed or len(items) >= self._max_items

    async def _refill(self) -> None:
        """Open queues for rooms that wait on disk."""
        async with self._refilling:
            if not self._rooms_on_disk or self._stopping:
                return
            self._rooms_on_disk = False
            try:
                rooms = await self._persist(lambda: self._backlog.rooms(2 * self._max_rooms))
            except StoreError:
                return  # Only while stopping, as above.
            for room_id in rooms:
                if room_id not in self._lanes:
                    self._open_lane(room_id, None)

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Try until the store works again: going on without it would do things twice."""
        attempt = 0
        while True:
            try:
                return await work()
            except StoreError as error:
                if self._stopping:
                    raise
                _log.warning("store_failed", component=self._component, reason=str(error))
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1


def _queued(item: Item) -> _Queued[Item]:
    return _Queued(item=item, log_context=structlog.contextvars.get_contextvars())
