"""A thread with an event loop of its own for everything that is due every 20 ms."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from bridge.core.clock import Clock
from bridge.core.floodgate import Floodgate
from bridge.core.telemetry import Telemetry

_SWITCH_S = 0.001
"""How long a busy thread keeps the interpreter while this one wants it.

A packet asks for it several times on its way, so Python's 5 ms would add up to most of a packet's 20.
"""

_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 20.0
_log = structlog.get_logger()
T = TypeVar("T")


class MediaThread:
    """Runs coroutines beside the application's loop, so that slow signalling never delays packets."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self._telemetry = telemetry
        self._floodgate = Floodgate(clock)
        self._ready: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, name="trunkline-media", daemon=True)
        self._stopping: asyncio.Event | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._body: Callable[[], Awaitable[None]] | None = None

    @property
    def tasks(self) -> asyncio.TaskGroup:
        """Owner of every task of the thread; for use on the thread only."""
        if self._tasks is None:
            raise RuntimeError("the media thread is not running")
        return self._tasks

    @property
    def running(self) -> bool:
        """Whether the loop takes work."""
        return self._ready.done() and not self._done.done()

    async def start(self, body: Callable[[], Awaitable[None]]) -> None:
        """Start the loop, and on it `body`, which is cancelled at the end."""
        self._body = body
        sys.setswitchinterval(_SWITCH_S)
        self._thread.start()
        await asyncio.wait_for(asyncio.wrap_future(self._ready), _START_LIMIT_S)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread and wait for it here; cancelling the wait cancels the work."""
        if not self.running:
            work.close()
            raise RuntimeError("the media thread is not running")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._ready.result()))

    async def stop(self) -> None:
        """End the loop and the thread; may be called twice."""
        if not self.running:
            return
        stopping = self._stopping
        if stopping is not None:
            self._ready.result().call_soon_threadsafe(stopping.set)
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._done)), _STOP_LIMIT_S)
        self._thread.join(_STOP_LIMIT_S)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            _log.exception("media_thread_failed", error=type(error).__name__)
            self._telemetry.count("internal_errors_total", component="media")
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._done.set_result(None)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        self._stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            body = tasks.create_task(self._run_body())
            self._ready.set_result(loop)
            await self._stopping.wait()
            body.cancel()

    async def _run_body(self) -> None:
        if self._body is not None:
            await self._body()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback, for instance inside aioice: counted, logged without its text, survived."""
        error = context.get("exception")
        self._telemetry.count("internal_errors_total", component="media")
        kind = type(error).__name__ if error else "none"
        suppressed = self._floodgate.pass_or_count(kind)
        if suppressed is not None:
            _log.error("media_loop_error_caught", error=kind, suppressed=suppressed, exc_info=error)
