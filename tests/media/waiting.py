"""Waiting for things that happen, with a limit, never for time to pass."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from bridge.media.engine import MediaStats
from tests.patience import PATIENCE_S

T = TypeVar("T")


class Collected(Generic[T]):
    """A growing list that can be waited on."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._changed = asyncio.Event()

    def add(self, item: T) -> None:
        """Append, and wake whoever waits."""
        self.items.append(item)
        self._changed.set()

    def clear(self) -> None:
        """Forget what came so far."""
        self.items.clear()

    async def until(self, satisfied: Callable[[list[T]], bool], limit_s: float = PATIENCE_S) -> list[T]:
        """Wait until the list satisfies a condition."""
        async with asyncio.timeout(limit_s):
            while not satisfied(self.items):
                self._changed.clear()
                await self._changed.wait()
        return self.items

    async def count(self, wanted: int, limit_s: float = PATIENCE_S) -> list[T]:
        """Wait until at least so many items are there."""
        return await self.until(lambda items: len(items) >= wanted, limit_s)


class Counting(Protocol):
    """A session, of whatever engine."""

    def stats(self) -> MediaStats: ...


async def counted(
    session: Counting, satisfied: Callable[[MediaStats], bool], limit_s: float = PATIENCE_S
) -> MediaStats:
    """Wait until the numbers, which workers tell a few times a second, satisfy a condition."""
    stats = session.stats()
    async with asyncio.timeout(PATIENCE_S):
        while not satisfied(stats):
            await asyncio.sleep(0.02)
            stats = session.stats()
    return stats
