"""The whole demo, as `make demo` runs it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LIMIT_S = 120.0
SOUND = r" {3}%s +%s\.\d Hz at +-\d+\.\d dBFS"


@asynccontextmanager
async def demo(directory: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo as a process; killed if the test fails before it ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.demo", "--directory", str(directory), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=hear_ctrl_c,
        env={name: value for name, value in os.environ.items() if name != "ONCE"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def hear_ctrl_c() -> None:
    """In the child: as from a terminal. What a shell without job control runs in the background ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    """What the demo prints, up to the line with `text` in it."""
    assert process.stdout is not None
    printed = ""
    while text not in printed:
        line = await asyncio.wait_for(process.stdout.readline(), LIMIT_S)
        assert line, printed
        printed += line.decode()
    return printed


def processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that have to do with a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if str(directory) in command:
            found.append(command)
    return found


async def test_once_both_calls_carry_audio_both_ways_and_nothing_is_left_running(tmp_path: Path) -> None:
    async with demo(tmp_path, "--once") as process:
        output, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    printed = output.decode()

    assert process.returncode == 0, printed
    assert "Call 1: @alice:localhost calls +15550100" in printed
    assert "Call 2: +15550100 calls @alice:localhost" in printed
    assert "Both calls carried audio both ways." in printed
    for step in ("ringing", "answered", "connected", "hung up", "ended"):
        assert len(re.findall(rf" s   {step} ", printed)) == 2, printed
    assert len(re.findall(SOUND % ("Matrix hears", "(599|600)"), printed)) == 2, printed
    assert len(re.findall(SOUND % ("phone hears", "(439|440)"), printed)) == 2, printed
    assert processes_of(tmp_path) == []


async def test_it_stays_up_for_people_until_ctrl_c_and_then_nothing_is_left_running(tmp_path: Path) -> None:
    async with demo(tmp_path) as process:
        printed = await read_until(process, "Ctrl-C")
        assert re.search(r"Homeserver +http://127\.0\.0\.1:\d+\n", printed)
        assert re.search(r"Password +\S+\n", printed)
        assert re.search(r"Metrics +http://127\.0\.0\.1:\d+/metrics\n", printed)
        assert process.stdin is not None
        process.stdin.write(b"call\n")
        await read_until(process, "the phone calls +15550199")

        process.send_signal(signal.SIGINT)
        output, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)

    assert process.returncode == 0, output.decode()
    assert processes_of(tmp_path) == []


async def test_a_second_demo_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with demo(tmp_path) as first:
        await read_until(first, "ready after")
        async with demo(tmp_path, "--once") as second:
            output, _ = await asyncio.wait_for(second.communicate(), LIMIT_S)

    assert second.returncode == 1
    assert "already" in output.decode()
