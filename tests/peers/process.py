"""What all peers share: a child process with a log file, a wait for readiness, an end that cannot hang."""

import asyncio
import contextlib
import fcntl
import functools
import itertools
import os
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

READY_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0
POLL_S = 0.02
LOOPBACK = "127.0.0.1"
PORTS = range(10_000, 20_000)
"""Below the ports that Linux gives to outgoing connections, and below those that bridges under test use for audio."""
_NEXT_PORT = Path(tempfile.gettempdir()) / f"trunkline-tests-next-port-{os.getuid()}"
_WRITE_LOCK = struct.Struct("hhqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length, and a process that is 0 (fcntl(2))."""


def free_port(*, span: int = 1, kept: bool = False) -> int:
    """A port of which `span` consecutive numbers are free for UDP and for TCP on the loopback address.

    Not one that the system would pick: it gives those to any connection that goes out before a server has bound. And
    none twice, whichever run of tests on this machine asks, until all others have had their turn: a peer may bind its
    port late, and may be started again. A port that waits for its peer for longer than that is to be `kept`: nobody
    else gets it while this process lives.
    """
    with _NEXT_PORT.open("a+") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        first = _first_free(int(note.read() or PORTS.start), span)
        if kept:
            _claim(_claims(_NEXT_PORT), first, span)
        note.truncate(0)
        note.write(str(first + span))
        note.flush()
    return first


def _first_free(start: int, span: int) -> int:
    """The first port of so many free ones, beginning at `start` and going around once."""
    last = PORTS.stop - span
    for first in itertools.chain(range(start, last), range(PORTS.start, last)):
        with contextlib.ExitStack() as stack:
            if _span_is_free(stack, first, span):
                return first
    raise RuntimeError("no free port found")


def _span_is_free(stack: contextlib.ExitStack, first: int, span: int) -> bool:
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    bindable = all(_can_bind(stack, kind, first + offset) for offset in range(span) for kind in kinds)
    return bindable and not _is_kept(first, span)


def _can_bind(stack: contextlib.ExitStack, kind: socket.SocketKind, port: int) -> bool:
    holder = stack.enter_context(socket.socket(socket.AF_INET, kind))
    try:
        holder.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


@functools.cache
def _claims(note: Path) -> BinaryIO:
    """Open for as long as this process lives: what it has locked says which ports are kept."""
    return note.open("r+b")


def _claim(claims: BinaryIO, first: int, span: int) -> None:
    """Lock as many bytes as there are ports; raises `OSError` where another one has a lock."""
    lock = _WRITE_LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first, span, 0)
    fcntl.fcntl(claims, fcntl.F_OFD_SETLK, lock)


def _is_kept(first: int, span: int) -> bool:
    with _NEXT_PORT.open("r+b") as claims:
        try:
            _claim(claims, first, span)
        except OSError:
            return True
    return False


def port_is_bound(port: int, transport: str) -> bool:
    """Whether any process of this machine holds `port` (for TCP: listens on it)."""
    table = Path(f"/proc/net/{transport}").read_text().splitlines()[1:]
    rows = (line.split() for line in table)
    suffix = f":{port:04X}"
    return any(row[1].endswith(suffix) and (transport == "udp" or row[3] == "0A") for row in rows)


class PeerEndedError(RuntimeError):
    """The process is gone that something was waited for from."""


class PeerTooSlowError(RuntimeError):
    """What was waited for did not happen in time."""


class PeerProcess:
    """One child process, leader of a group of its own: an asynchronous context that starts it and ends the group."""

    stop_limit_s = STOP_LIMIT_S

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log_path = directory / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def returncode(self) -> int | None:
        """The exit status once it ended."""
        return self._process.returncode if self._process is not None else None

    def log_tail(self, lines: int = 60) -> str:
        """The end of what the process printed: for the message of a failed test."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    async def launch(self, arguments: Sequence[str | Path]) -> None:
        """Start the program with its output in `log_path`."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *map(str, arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )

    async def wait_until(
        self, ready: Callable[[], bool], *, limit_s: float = READY_LIMIT_S, awaited: str = "become ready"
    ) -> None:
        """Poll `ready` until it is true; a process that died or was too slow to do what is `awaited` says which."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while not ready():
            if self.pid is None:
                status = self.returncode
                raise PeerEndedError(f"{self.name} ended ({status}) and did not {awaited}:\n{self.log_tail()}")
            if loop.time() > deadline:
                raise PeerTooSlowError(f"{self.name} did not {awaited} in {limit_s} s:\n{self.log_tail()}")
            await asyncio.sleep(POLL_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        self._process.send_signal(number)

    async def wait_exit(self, *, limit_s: float) -> int:
        """Wait until the process ends by itself and return its exit status."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        try:
            return await asyncio.wait_for(self._process.wait(), limit_s)
        except TimeoutError:
            raise RuntimeError(f"{self.name} did not end in {limit_s} s:\n{self.log_tail()}") from None

    async def start(self) -> None:
        """Start and wait until ready; subclasses say how."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End the process and its children: asked first, killed when they do not listen."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.stop_limit_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def crash(self) -> None:
        """End the process at once, as a power cut would; `start` begins another one."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
