"""Waiting for a condition that can only be asked for, with a time limit."""

import asyncio
from collections.abc import Awaitable, Callable

_POLL_S = 0.05


async def until(condition: Callable[[], Awaitable[bool]], complaint: Callable[[], str], *, limit_s: float) -> None:
    """Ask again and again until the answer is yes; fails with `complaint` when the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not await condition():
        if loop.time() > deadline:
            raise AssertionError(f"{complaint()} after {limit_s:.0f} s")
        await asyncio.sleep(_POLL_S)
