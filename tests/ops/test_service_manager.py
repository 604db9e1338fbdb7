"""What systemd hears: sd_notify(3) over a real socket, in both spellings of its address."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.ops.service_manager import ServiceManager
from tests.patience import PATIENCE_S

_MANAGER_PID = 77


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@trunkline-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(PATIENCE_S)
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        yield listening, name


def test_systemd_hears_of_start_reload_and_end(listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    manager = ServiceManager({"NOTIFY_SOCKET": name})
    manager.ready()
    manager.reloading()
    manager.draining(3)
    manager.stopping()
    heard = [listening.recv(4096).decode().splitlines() for _ in range(4)]
    assert heard[0][0] == "READY=1"
    assert heard[1][0] == "RELOADING=1"
    assert heard[1][1].startswith("MONOTONIC_USEC=")
    assert heard[1][1].partition("=")[2].isdigit()
    assert heard[2] == ["STOPPING=1", "STATUS=Draining, calls that go on: 3"]
    assert heard[3][0] == "STOPPING=1"


async def test_the_watchdog_is_fed_from_the_event_loop(listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    manager = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"})
    feeding = asyncio.create_task(manager.keep_alive())
    heard = [(await asyncio.to_thread(listening.recv, 4096)) for _ in range(3)]
    feeding.cancel()
    assert heard == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(_MANAGER_PID)}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_is_ours_only_if_it_is_meant_for_us(environment: dict[str, str], watchdog_s: float) -> None:
    assert ServiceManager(environment, pid=_MANAGER_PID).watchdog_s == watchdog_s


async def test_without_a_service_manager_nothing_is_sent() -> None:
    manager = ServiceManager({})
    manager.ready()
    await manager.keep_alive()


def test_a_service_manager_that_is_gone_does_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "service_manager_not_told" in capsys.readouterr().out
