"""One thing at a time: slow operations of a call, in the order in which they were asked for."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Operation = Callable[[], Awaitable[None]]

MAX_WAITING = 256
"""Operations of one call that may wait before the lane is full; a call that piles up more is broken or under attack."""


class LaneFull(Exception):  # noqa: N818 - it names a state, like queue.Full
    """Too many operations wait."""


class Lane:
    """A queue of operations with at most one running; it has a task only while there is work."""

    def __init__(self) -> None:
        self._waiting: deque[Operation] = deque()
        self._task: asyncio.Task[None] | None = None

    def submit(self, operation: Operation) -> None:
        """Run `operation` after those submitted before. It must not raise."""
        self._waiting.append(operation)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def drop_waiting(self) -> None:
        """Forget what has not begun."""
        self._waiting.clear()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            self._task = None

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self._task is None

    @property
    def waiting(self) -> int:
        """How many operations have not begun."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nothing more that a stranger can ask for may be submitted; a call's own farewell always may."""
        return len(self._waiting) >= MAX_WAITING

    async def drain(self) -> None:
        """Wait until all that was submitted is done."""
        while self._task is not None:
            await asyncio.wait([self._task])
