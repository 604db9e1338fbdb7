"""The ops port: metrics, life and readiness over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bridge.core.telemetry import NoTelemetry
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.server import Check, Heartbeat, OpsPortError, OpsServer
from tests.clock import ManualClock

LIMIT = aiohttp.ClientTimeout(total=10)


@asynccontextmanager
async def serving(
    checks: Mapping[str, Callable[[], bool]], clock: ManualClock, measure: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[Callable[[str], Any], PrometheusTelemetry]]:
    telemetry = PrometheusTelemetry(trunks=[], version="1", strict=True)
    heartbeat = Heartbeat(clock=clock, telemetry=telemetry)
    told = {name: Check(passes=passes, otherwise=f"{name} is ill") for name, passes in checks.items()}
    server = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks=told, measure=measure)
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=LIMIT) as session:
            yield session.get, telemetry
    finally:
        await server.stop()


async def test_metrics_are_in_the_text_format_of_prometheus() -> None:
    async with serving({}, ManualClock()) as (get, _), get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    assert "trunkline_build_info" in text
    tasks = next(line for line in text.splitlines() if line.startswith("trunkline_tasks "))
    assert float(tasks.partition(" ")[2]) >= 1


async def test_lost_log_lines_are_counted_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = 3
    monkeypatch.setattr("bridge.ops.server.lines_dropped", lambda: dropped)
    async with serving({}, ManualClock()) as (get, telemetry):
        for dropped in (3, 3, 5):
            async with get("/metrics") as answer:
                assert f"trunkline_log_lines_dropped_total {dropped}.0" in await answer.text()
    assert telemetry.registry.get_sample_value("trunkline_log_lines_dropped_total") == 5


async def test_a_loop_that_beats_is_alive_and_one_that_does_not_is_dead() -> None:
    clock = ManualClock()
    async with serving({}, clock) as (get, _):
        async with get("/livez") as answer:
            assert (answer.status, await answer.json()) == (200, {"live": True})
        clock.now += 60
        async with get("/livez") as answer:
            assert (answer.status, await answer.json()) == (503, {"live": False})


async def test_ready_when_every_check_says_so() -> None:
    checks = {"store": lambda: True, "trunk": lambda: True}
    async with serving(checks, ManualClock()) as (get, _), get("/readyz") as answer:
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "checks": {"store": True, "trunk": True}, "reasons": {}}


async def test_not_ready_when_one_check_says_no_or_breaks() -> None:
    def broken() -> bool:
        raise RuntimeError("boom")

    async with serving({"store": lambda: True, "trunk": lambda: False, "x": broken}, ManualClock()) as (get, telemetry):
        async with get("/readyz") as answer:
            assert answer.status == 503
            told = await answer.json()
        assert told["checks"] == {"store": True, "trunk": False, "x": False}
        assert told["reasons"] == {"trunk": "trunk is ill", "x": "x is ill"}
        assert telemetry.registry.get_sample_value("trunkline_internal_errors_total", {"component": "ops"}) == 1


async def test_each_look_at_the_metrics_asks_the_checks_and_measures_anew() -> None:
    looks = 0

    def measure() -> None:
        nonlocal looks
        looks += 1

    checks = {"store": lambda: True, "media": lambda: False}
    async with serving(checks, ManualClock(), measure) as (get, _):
        for _ in range(2):
            async with get("/metrics") as answer:
                text = await answer.text()
        assert 'trunkline_check_passes{check="store"} 1.0' in text
        assert 'trunkline_check_passes{check="media"} 0.0' in text
    assert looks == 2


async def test_nothing_else_is_served() -> None:
    async with serving({}, ManualClock()) as (get, _), get("/") as answer:
        assert answer.status == 404


async def test_a_port_that_is_taken_is_explained() -> None:
    telemetry = PrometheusTelemetry(trunks=[], version="1", strict=True)
    heartbeat = Heartbeat(clock=ManualClock(), telemetry=telemetry)
    first = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks={})
    second = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks={})
    port = await first.start("127.0.0.1", 0)
    try:
        with pytest.raises(OpsPortError, match=f"cannot listen on 127.0.0.1:{port}"):
            await second.start("127.0.0.1", port)
    finally:
        await second.stop()
        await first.stop()


async def test_the_heartbeat_measures_how_late_the_loop_is() -> None:
    clock = ManualClock()
    beats = 0

    async def oversleep(seconds: float) -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            raise asyncio.CancelledError
        clock.now += seconds + 0.2

    telemetry = PrometheusTelemetry(trunks=[], version="1", strict=True)
    heartbeat = Heartbeat(clock=clock, telemetry=telemetry, sleep=oversleep)
    with pytest.raises(asyncio.CancelledError):
        await heartbeat.run()
    total = telemetry.registry.get_sample_value("trunkline_event_loop_lag_seconds_sum", {"loop": "signalling"})
    assert total == pytest.approx(0.4)
    assert heartbeat.alive()


async def test_the_heartbeat_works_without_telemetry() -> None:
    heartbeat = Heartbeat(clock=ManualClock(), telemetry=NoTelemetry())
    task = asyncio.create_task(heartbeat.run())
    await asyncio.wait([task], timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
