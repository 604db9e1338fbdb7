"""The bridge in a process that is forked from one with everything imported, which starts in a fifth of the time."""

import asyncio
import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.e2e.running_bridge import Bridge
from tests.patience import PATIENCE_S

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.e2e.forked_bridge", "bridge.app.process", "bridge.cli"])


class ForkedBridge(Bridge):
    """`start`, `crash` and `stop` as often as a test likes; `tests/e2e/lab.py` has the one that an operator starts."""

    _child: BaseProcess | None = None

    async def start(self) -> None:
        await self.prepare()
        self.begin()
        await self.wait_ready()

    def begin(self) -> None:
        """Start, and wait for nothing."""
        self._child = _PROCESSES.Process(target=_run, args=(self.config, self.log_path), daemon=True)
        self._child.start()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.is_alive() else None

    @property
    def returncode(self) -> int | None:
        return self._child.exitcode if self._child is not None else None

    def signal(self, number: signal.Signals) -> None:
        if self._child is None or self._child.pid is None:
            raise RuntimeError(f"{self.name} was never started")
        os.kill(self._child.pid, number)

    async def wait_exit(self, *, limit_s: float) -> int:
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        await asyncio.to_thread(self._child.join, limit_s)
        if self._child.exitcode is None:
            raise RuntimeError(f"{self.name} did not end in {limit_s} s:\n{self.log_tail()}")
        return self._child.exitcode

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
