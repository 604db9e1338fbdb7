"""Child processes: what they say is kept, and they never outlive the demo."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from deploy.demo.errors import DemoError
from deploy.demo.processes import ChildProcess, tail
from tests.patience import PATIENCE_S

SAYS_THAT_IT_IS_UP = "import signal, socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1]); signal.pause()"
WAITS_FOR_EVER = SAYS_THAT_IT_IS_UP
IS_DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SAYS_THAT_IT_IS_UP
PARENT = """
    import asyncio, sys
    from pathlib import Path
    from deploy.demo.processes import ChildProcess

    async def main():
        child = ChildProcess("child", sys.argv[1:3] + ["import signal; signal.pause()"], log=Path(sys.argv[3]))
        await child.start()
        print(child.pid, flush=True)
        await child.wait()

    asyncio.run(main())
"""


def python(code: str) -> tuple[str, ...]:
    """The command that runs a piece of Python."""
    return (sys.executable, "-c", textwrap.dedent(code))


async def test_both_outputs_of_a_process_are_kept(tmp_path: Path) -> None:
    process = ChildProcess(
        "talker", python("import sys; print('out', flush=True); print('err', file=sys.stderr)"), log=tmp_path / "log"
    )
    await process.start()

    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    assert process.tail().splitlines() == ["out", "err"]


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = ChildProcess("Synapse", ("/nowhere/python",), log=tmp_path / "log")

    with pytest.raises(DemoError, match="Synapse cannot be started: /nowhere/python"):
        await process.start()


@pytest.mark.parametrize(("code", "status"), [(WAITS_FOR_EVER, -signal.SIGTERM), (IS_DEAF, -signal.SIGKILL)])
async def test_a_process_is_ended_whether_it_listens_or_not(tmp_path: Path, code: str, status: int) -> None:
    up = asyncio.Event()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()
        up.set()

    server = await asyncio.start_unix_server(note, tmp_path / "up")
    process = ChildProcess("child", (*python(code), str(tmp_path / "up")), log=tmp_path / "log")
    async with server:
        await process.start()
        await asyncio.wait_for(up.wait(), PATIENCE_S)

        await process.stop(patience_s=0.5)

    assert not process.running
    assert process.returncode == status


async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *python(PARENT), sys.executable, "-c", str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child_pid = int(await asyncio.wait_for(parent.stdout.readline(), PATIENCE_S))
    watch = os.pidfd_open(child_pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, ended.set)
    try:
        parent.kill()
        await parent.wait()

        await asyncio.wait_for(ended.wait(), PATIENCE_S)
    finally:
        asyncio.get_running_loop().remove_reader(watch)
        os.close(watch)


def test_the_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""


def test_the_tail_is_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(str(n) for n in range(100)))

    assert tail(log, 3) == "97\n98\n99"
