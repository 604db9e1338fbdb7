"""What the signals of an operator do: drain, hang up, read the configuration again."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from bridge.app.life_cycle import MOST_NAMED, LifeCycle
from bridge.config import Config, ConfigError, Fault
from bridge.core.ids import UserId
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.service_manager import ServiceManager
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, ROOM
from tests.app.stage import Stage
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S


class StageBridge:
    """A bridge with one call that goes on until a test ends it."""

    def __init__(self) -> None:
        self.draining = False
        self.last_call_over = asyncio.Event()
        self.configs: list[Config] = []
        self.fault: Exception | None = None

    def drain(self) -> int:
        self.draining = True
        return 1

    async def idle(self) -> None:
        await self.last_call_over.wait()

    def tell_state(self) -> None:
        raise AssertionError("nobody asked")

    async def reload(self, config: Config) -> None:
        if self.fault is not None:
            raise self.fault
        self.configs.append(config)


class Scene:
    """A life cycle with everything around it, and a service manager that notes what it is told."""

    def __init__(self, directory: Path) -> None:
        self.bridge = StageBridge()
        self.telemetry = PrometheusTelemetry(trunks=(), version="test", strict=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(directory / "notify"))
        self.manager = ServiceManager({"NOTIFY_SOCKET": str(directory / "notify")})

    def life(self, read_config: Callable[[], Config], drain_limit_s: float = PATIENCE_S) -> LifeCycle:
        return LifeCycle(
            drain_limit_s=drain_limit_s,
            read_config=read_config,
            service_manager=self.manager,
            telemetry=self.telemetry,
        )

    def told(self) -> list[str]:
        """The first line of every message to the service manager since this was asked last."""
        messages = []
        while True:
            try:
                messages.append(self._listener.recv(4096).decode().splitlines()[0])
            except BlockingIOError:
                return messages

    async def reloads(self, outcome: str) -> None:
        """Wait until one more reload has come out like that, and the service manager knows."""
        line = f'trunkline_config_reloads_total{{outcome="{outcome}"}} 1.0'

        async def counted() -> bool:
            return line in self.telemetry.exposition().decode()

        await until(counted, lambda: f"no reload was {outcome}", limit_s=PATIENCE_S)

    def close(self) -> None:
        self._listener.close()


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def _config() -> Config:
    return Config.model_validate(
        {
            "homeserver": {"url": "http://127.0.0.1:8008", "server_name": "example.org"},
            "appservice": {"as_token": "a" * 32, "hs_token": "h" * 32},
        }
    )


def _faulty() -> Config:
    raise ConfigError([Fault(path="calls.ring_timeout_s", message="must be a number", line=3)])


async def _ends(life: LifeCycle) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await life.stopped()


async def test_sigterm_lets_the_last_call_finish(scene: Scene) -> None:
    life = scene.life(_config)
    life.started(scene.bridge)
    life.terminate()
    end = asyncio.create_task(_ends(life))
    await asyncio.sleep(0)
    assert scene.bridge.draining
    assert not end.done()
    assert scene.told() == ["READY=1", "STOPPING=1"]
    scene.bridge.last_call_over.set()
    await end
    assert scene.told() == ["STOPPING=1"]


@pytest.mark.parametrize("again", [LifeCycle.terminate, LifeCycle.interrupt])
async def test_a_second_signal_waits_for_no_call(scene: Scene, again: Callable[[LifeCycle], None]) -> None:
    life = scene.life(_config)
    life.started(scene.bridge)
    life.terminate()
    again(life)
    await _ends(life)
    await life.close()


async def test_draining_has_a_limit(scene: Scene) -> None:
    life = scene.life(_config, drain_limit_s=0.0)
    life.started(scene.bridge)
    life.terminate()
    await _ends(life)


async def test_ctrl_c_waits_for_no_call(scene: Scene) -> None:
    life = scene.life(_config)
    life.started(scene.bridge)
    life.interrupt()
    await _ends(life)
    assert not scene.bridge.draining


async def test_a_signal_during_the_start_ends_the_bridge_as_soon_as_it_runs(scene: Scene) -> None:
    life = scene.life(_config)
    life.terminate()
    life.started(scene.bridge)
    await _ends(life)


async def test_sighup_gives_the_bridge_the_new_configuration(scene: Scene) -> None:
    life = scene.life(_config)
    life.started(scene.bridge)
    life.reload()
    await scene.reloads("done")
    assert scene.bridge.configs == [_config()]
    assert scene.told() == ["READY=1", "RELOADING=1", "READY=1"]


async def test_sighup_before_the_start_is_done_after_it(scene: Scene) -> None:
    life = scene.life(_config)
    life.reload()
    life.started(scene.bridge)
    await scene.reloads("done")


async def test_a_configuration_with_a_fault_changes_nothing(scene: Scene) -> None:
    life = scene.life(_faulty)
    life.started(scene.bridge)
    life.reload()
    await scene.reloads("refused")
    assert not scene.bridge.configs
    assert scene.told() == ["READY=1", "RELOADING=1", "READY=1"]


async def test_the_log_names_the_first_faults_of_a_file_that_is_another_altogether(scene: Scene) -> None:
    scene.bridge.fault = ConfigError([Fault(path=f"key{number}", message="unknown") for number in range(10_000)])
    life = scene.life(_config)
    life.started(scene.bridge)
    with capture_logs() as logs:
        life.reload()
        await scene.reloads("refused")
    assert sum(entry["event"] == "configuration_fault" for entry in logs) == MOST_NAMED
    assert [entry["faults"] for entry in logs if entry["event"] == "configuration_kept"] == [10_000]


async def test_a_bug_in_a_reload_is_counted_and_the_bridge_goes_on(scene: Scene) -> None:
    scene.bridge.fault = RuntimeError("a bug")
    life = scene.life(_config)
    life.started(scene.bridge)
    life.reload()
    await scene.reloads("failed")
    assert scene.told()[-1] == "READY=1"


async def test_nothing_is_reloaded_while_calls_finish(scene: Scene) -> None:
    life = scene.life(_config)
    life.started(scene.bridge)
    life.terminate()
    life.reload()
    await asyncio.sleep(0)
    assert "RELOADING=1" not in scene.told()
    await life.close()


async def test_a_draining_switchboard_refuses_new_calls_and_lets_the_old_finish(stage: Stage) -> None:
    await stage.invite()
    assert stage.switchboard.drain() == 1
    idle = asyncio.create_task(stage.switchboard.idle())
    await stage.incoming("in-2", caller="+15550107")
    await stage.invite("late")
    assert ("reject", "in-2", 503) in stage.sip.commands
    assert stage.reasons() == ["shutting_down", "shutting_down"]
    assert not idle.done()
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    async with asyncio.timeout(PATIENCE_S):
        await idle
    assert stage.reasons()[-1] == "cancelled"


async def test_a_call_that_ends_by_two_bugs_does_not_hold_up_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.invite()
    stage.switchboard.drain()

    def fail(*arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("bridge.calls.machine.handle", fail)
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    async with asyncio.timeout(PATIENCE_S):
        await stage.switchboard.idle()


async def test_a_switchboard_without_calls_has_drained_at_once(stage: Stage) -> None:
    assert stage.switchboard.drain() == 0
    async with asyncio.timeout(PATIENCE_S):
        await stage.switchboard.idle()


async def test_a_call_for_help_is_taken_while_draining(stage: Stage) -> None:
    stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_112:example.org")})
    stage.switchboard.drain()
    await stage.invite("help")
    assert stage.reasons() == ["emergency_refused"]  # No trunk carries it here: that verdict, not the restart's.


async def test_a_call_for_help_is_known_by_the_code_of_the_caller_s_own_country(tmp_path: Path) -> None:
    async with open_stage(tmp_path, regions={ALICE: "GB"}) as stage:
        stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_141112:example.org")})
        stage.switchboard.drain()
        await stage.invite("help")
        assert stage.reasons() == ["emergency_refused"]
        assert "EMERGENCY" in stage.matrix.content("m.room.message")["body"]
