"""The engines that `media` and `quality` compare, each a process of its own of which cost can be read."""

import asyncio
import enum
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tests.bench.rtpengine import Rtpengine

_ANSWER_LIMIT_S = 30.0
_STOP_LIMIT_S = 20.0
_PROC = Path("/proc")


class Engine(enum.StrEnum):
    """What can be put between a client and a phone."""

    NATIVE = "native"
    PORTABLE = "portable"
    RTPENGINE = "rtpengine"
    AIORTC = "aiortc"


class UnderTest(Protocol):
    """An engine that runs."""

    @property
    def process_id(self) -> int:
        """The process, whose children are counted too."""
        ...

    async def open(self, offer: str, phone: str) -> tuple[str, str]:
        """A call from a client to a phone that answers: the SDP of the client's answer and the phone's offer."""
        ...


class PythonServer:
    """A module of this package that reads a call a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._in_order = asyncio.Lock()

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def open(self, offer: str, phone: str) -> tuple[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._in_order, asyncio.timeout(_ANSWER_LIMIT_S):
            self._process.stdin.write(json.dumps({"offer": offer, "phone": phone}).encode() + b"\n")
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the engine's process has ended")
        described = json.loads(line)
        return described["answer"], described["sip"]


@asynccontextmanager
async def running(engine: Engine, *, transcodes: bool) -> AsyncIterator[UnderTest]:
    """An engine for clients that speak Opus alone to phones that do not, or the same codec on both sides."""
    if engine is Engine.RTPENGINE:
        with TemporaryDirectory() as directory:
            async with Rtpengine(Path(directory), transcodes=transcodes) as server:
                yield server
        return
    module = "aiortc_server" if engine is Engine.AIORTC else "media_server"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.bench.{module}", engine.value),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if "BENCH_DEBUG" in os.environ else asyncio.subprocess.DEVNULL,
        limit=1 << 20,
    )
    try:
        yield PythonServer(process)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """The end of its input is the end of the process."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def processor_s(pid: int) -> float:
    """Processor time of all threads of a process and of its children so far."""
    spent_ns = 0
    for task in _tasks(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            spent_ns += int((task / "schedstat").read_text().split()[0])
    return spent_ns / 1e9


def memory_kb(pid: int) -> float:
    """Memory that a process and its children have for themselves; what they share counts once."""
    lines = [line for process in _family(pid) for line in (process / "smaps_rollup").read_text().splitlines()]
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _family(pid: int) -> Iterator[Path]:
    process = _PROC / str(pid)
    yield process
    for task in (process / "task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def _tasks(pid: int) -> Iterator[Path]:
    for process in _family(pid):
        yield from (process / "task").iterdir()
