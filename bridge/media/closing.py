"""Freeing several resources although one of them cannot be freed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

STEP_LIMIT_S = 2.0


class Closable(Protocol):
    """What has a `close` that may be called again after it failed."""

    async def close(self) -> object:
        """Free everything."""
        ...


async def take_all(*steps: Callable[[], Awaitable[object]]) -> None:
    """Take every step in order, whatever happens in one of them; its exception is raised after the last."""
    async with contextlib.AsyncExitStack() as stack:
        for step in reversed(steps):
            stack.push_async_callback(step)


async def take_all_limited(*steps: Callable[[], Awaitable[object]]) -> None:
    """The same with a time limit for each step, so that one that hangs cannot keep the others from being taken."""
    async with contextlib.AsyncExitStack() as stack:
        for step in reversed(steps):
            stack.push_async_callback(_limited, step)


async def _limited(step: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(STEP_LIMIT_S):
        await step()


async def close_each(resources: list[Closable]) -> None:
    """Close all at once. Those that could not be closed stay in the list, and the first one's exception is raised."""
    closing = list(resources)
    results = await asyncio.gather(*(resource.close() for resource in closing), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    resources[:] = [kept for kept, result in zip(closing, results, strict=True) if isinstance(result, BaseException)]
    if failures:
        raise failures[0]
