"""An operator, or a service manager, signals a bridge that is still importing what it is made of."""

import functools
import json
import os
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.running_bridge import Bridge
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

_BLOCKED = "SigBlk:"
"""Of /proc/PID/status: a mask in which bit n - 1 stands for signal n (proc_pid_status(5))."""


@pytest_asyncio.fixture
async def starting(tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge in its first milliseconds, whose homeserver is away, and whose packets have processes of their own."""
    bridge = Bridge(
        tmp_path,
        homeserver_url=f"http://{LOOPBACK}:{free_port()}",
        server_name="example.org",
        settings={"media": {"engine": "portable"}, "logging": {"level": "info", "format": "json"}},
    )
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


def _events(bridge: Bridge, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in bridge.log_path.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


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


@pytest.mark.parametrize("group", [False, True])
async def test_a_bridge_says_more_and_how_it_stands_when_signals_ask_for_it(starting: Bridge, group: bool) -> None:
    """Also when its whole group is asked, as `systemctl kill` does, from its first moment on."""
    assert starting.pid is not None
    send = functools.partial(os.killpg if group else os.kill, starting.pid)
    send(signal.SIGUSR1)
    await starting.wait_until(lambda: bool(_events(starting, "log_level_changed")), limit_s=PATIENCE_S)
    await starting.wait_until(lambda: "bridge_started" in starting.log_tail(), limit_s=PATIENCE_S)
    send(signal.SIGUSR2)
    await starting.wait_until(lambda: bool(_events(starting, "state_tasks")), limit_s=PATIENCE_S)
    assert _events(starting, "state_calls")[0].items() >= {"live": 0, "accepting": True, "states": {}}.items()
    assert _events(starting, "state_queues")[0]["media_sessions"] == 0
    assert _events(starting, "state_tasks")[0]["work"]["CallRecords.run"] == 1
    send(signal.SIGUSR1)
    await starting.wait_until(lambda: len(_events(starting, "log_level_changed")) == 2, limit_s=PATIENCE_S)
    assert [line["level_now"] for line in _events(starting, "log_level_changed")] == ["debug", "info"]
    assert await starting.metric("media_workers_ended_total") == 0
    starting.signal(signal.SIGTERM)
    assert await starting.wait_exit(limit_s=PATIENCE_S) == 0


def test_the_installed_command_is_the_one_that_holds_signals() -> None:
    assert tomllib.loads(Path("pyproject.toml").read_text())["project"]["scripts"] == {
        "trunkline": "bridge.__main__:main"
    }
