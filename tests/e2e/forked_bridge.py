"""The bridge in a process that is forked from one with everything imported: dozens of them in a test's time."""

import asyncio
import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.e2e.running_bridge import Bridge
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S

_READY_LIMIT_S = 60.0
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.e2e.forked_bridge", "bridge.app.process", "bridge.cli"])


class ForkedBridge(Bridge):
    """`start`, `crash` and `stop` as often as a test likes."""

    _child: BaseProcess | None = None

    async def start(self) -> None:
        await self.prepare()
        self.begin()
        await until(self.is_ready, lambda: f"trunkline is not ready:\n{self.log_tail()}", limit_s=_READY_LIMIT_S)

    def begin(self) -> None:
        """Start, and wait for nothing."""
        self._child = _PROCESSES.Process(target=_run, args=(self.config, self.log_path), daemon=True)
        self._child.start()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.is_alive() else None

    async def crash(self) -> None:
        if self._child is not None:
            self._child.kill()
            await asyncio.to_thread(self._child.join)

    async def stop(self) -> None:
        if self._child is not None and self._child.is_alive():
            self._child.terminate()
            await asyncio.to_thread(self._child.join, PATIENCE_S)
        await self.crash()


def _run(config: Path, log: Path) -> None:
    """In the child: the real command, its output in a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    from bridge.cli import main

    main(["run", "--config", str(config)])
