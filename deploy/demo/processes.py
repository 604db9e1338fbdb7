"""A child process that writes to a log file and never outlives us."""

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from deploy.demo.errors import DemoError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class ChildProcess:
    """One program, started in a session of its own, so that Ctrl-C reaches us alone and we end it in order."""

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log: Path, environ: Mapping[str, str] | None = None
    ):
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """How it ended; negative is a signal."""
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Start it, with both of its outputs appended to the log."""
        with self.log.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=functools.partial(_die_with_parent, os.getpid()),
                    env=dict(self._environ) if self._environ is not None else None,
                )
            except OSError as error:
                raise DemoError(f"{self.name} cannot be started: {self._command[0]}: {error.strerror}") from error

    async def start_until(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Start it and wait for `ready`; whatever that raises, the process is ended first."""
        await self.start()
        try:
            await ready()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Until it ends by itself; its return code."""
        if self._process is None:
            raise DemoError(f"{self.name} was never started")
        return await self._process.wait()

    async def stop(self, *, patience_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL for one that does not listen; does nothing when it is gone."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), patience_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for a message about what went wrong."""
        return tail(self.log, lines)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a text file, from at most its last 64 KiB; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _die_with_parent(parent: int) -> None:
    """In the child: be killed by the kernel when we die, however we die (prctl(2), PR_SET_PDEATHSIG).

    Not asked politely: its peers die in the same moment, and it would wait for them. SQLite survives that.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
