"""Fixtures: servers of their own for each test, and the engine that uses them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media.engine import MediaEvent
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.counting import CountingTelemetry
from tests.media.waiting import Collected
from tests.peers.rtpengine import Rtpengine

Serve = Callable[[MediaSettings], Awaitable[RtpengineEngine]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Rtpengine]:
    async with Rtpengine(tmp_path) as server:
        yield server


@pytest.fixture
def settings(server: Rtpengine) -> MediaSettings:
    return MediaSettings(engine=PathChoice.RTPENGINE, rtpengines=(server.address,), connect_timeout_s=30.0)


@pytest.fixture
async def serve(telemetry: CountingTelemetry, events: Collected[MediaEvent]) -> AsyncIterator[Serve]:
    """Starts engines with settings of the test's own."""
    started: list[RtpengineEngine] = []

    async def start(settings: MediaSettings) -> RtpengineEngine:
        engine = RtpengineEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
        started.append(engine)
        await engine.start(events.add)
        return engine

    yield start
    for engine in started:
        await engine.stop()


@pytest.fixture
async def engine(serve: Serve, settings: MediaSettings) -> RtpengineEngine:
    return await serve(settings)
