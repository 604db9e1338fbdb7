"""An operator, or a service manager, signals a bridge that is still importing what it is made of."""

import os
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.running_bridge import Bridge
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

_BLOCKED = "SigBlk:"
"""Of /proc/PID/status: a mask in which bit n - 1 stands for signal n (proc_pid_status(5))."""


@pytest_asyncio.fixture
async def starting(tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge in its first milliseconds, whose homeserver is away."""
    bridge = Bridge(tmp_path, homeserver_url=f"http://{LOOPBACK}:{free_port()}", server_name="example.org", settings={})
    bridge.use_tokens(as_token="a" * 32, hs_token="h" * 32)
    bridge.write_config()
    await bridge.launch((sys.executable, "-m", "bridge", "run", "--config", bridge.config))
    await bridge.wait_until(lambda: _holds(bridge, signal.SIGHUP), limit_s=PATIENCE_S)
    yield bridge
    await bridge.stop()


def _holds(bridge: Bridge, number: signal.Signals) -> bool:
    rows = (line.split() for line in Path(f"/proc/{bridge.pid}/status").read_text().splitlines())
    (mask,) = (int(row[1], 16) for row in rows if row[0] == _BLOCKED)
    return bool(mask & 1 << (number - 1))


async def test_sighup_in_the_first_moment_is_one_reload_of_the_bridge_that_runs(starting: Bridge) -> None:
    for _ in range(3):
        starting.signal(signal.SIGHUP)
    await starting.wait_until(lambda: "configuration_reloaded" in starting.log_tail(), limit_s=PATIENCE_S)
    assert not _holds(starting, signal.SIGHUP)
    starting.signal(signal.SIGTERM)
    assert await starting.wait_exit(limit_s=PATIENCE_S) == 0
    assert starting.log_path.read_text().count("configuration_reloaded") == 1


async def test_sigterm_in_the_first_moment_ends_the_bridge_as_ever(starting: Bridge) -> None:
    assert starting.pid is not None
    group = os.getpgid(starting.pid)
    starting.signal(signal.SIGTERM)
    assert await starting.wait_exit(limit_s=PATIENCE_S) == 0
    assert "bridge_stopped" in starting.log_tail()
    assert not list(starting.directory.glob("*.sqlite3-wal"))
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_the_installed_command_is_the_one_that_holds_signals() -> None:
    assert tomllib.loads(Path("pyproject.toml").read_text())["project"]["scripts"] == {
        "trunkline": "bridge.__main__:main"
    }
