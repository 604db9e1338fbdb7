"""Nothing is left behind, and what runs out is told."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import closing, g711
from bridge.media.call_media import CallMedia
from bridge.media.dtls import DtlsSession
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaError, MediaEvent, MediaStats
from bridge.media.ice import IceAgent
from bridge.media.settings import MediaSettings
from bridge.media.webrtc import WebRtcLeg
from bridge.media.worker_paths import WorkerPaths
from tests.media.conftest import PATHS
from tests.media.counting import CountingTelemetry
from tests.media.descriptions import WEBRTC_OFFER
from tests.media.free_ports import free_ports
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


@pytest.fixture(scope="module", autouse=True)
def earlier_tests_put_aside() -> Iterator[None]:
    """What they have left is collected once: to look through it for each count of files takes most of a test's time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def test_ports_that_run_out_are_told_not_waited_for(
    settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]
) -> None:
    low = free_ports(4)
    narrow = replace(settings, port_min=low, port_max=low + 3)
    engine = EmbeddedEngine(narrow, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    room = [engine.has_ports]
    await engine.start(events.add)
    room.append(engine.has_ports)
    for number in range(2):
        await engine.open(CallId(f"call-{number}"))
    room.append(engine.has_ports)
    assert room == [False, True, False]
    with pytest.raises(MediaError) as refused:
        await engine.open(CallId("call-2"))
    assert refused.value.verdict.sip_status == 503
    await engine.stop()


def resources(engine: EmbeddedEngine) -> tuple[int, int, int]:
    """Open files, threads and ports; without what earlier tests here have dropped and nobody has collected yet."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), engine._ports.in_use


async def media_tasks(engine: EmbeddedEngine) -> int:
    """Tasks on the media thread, this question not counted."""

    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    return await engine._thread.call(count())


async def test_fifty_calls_leave_nothing_behind(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    before, tasks_before = resources(engine), await media_tasks(engine)
    for number in range(50):
        session = await engine.open(CallId(f"call-{number}"))
        await session.set_matrix_offer(WEBRTC_OFFER)
        await session.create_sip_offer()
        if number % 2:
            await session.set_sip_answer(phone.sdp())
            await session.create_matrix_answer()
        await session.close()
    # Earlier tests may leave a loop that is only let go meanwhile.
    assert all(now <= earlier for now, earlier in zip(resources(engine), before, strict=True))
    assert await media_tasks(engine) == tasks_before


async def test_connected_calls_leave_nothing_behind(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    before, tasks_before = resources(engine), await media_tasks(engine)
    for number in range(3):
        browser = new_browser("opus")
        session = await call_out(engine, browser, phone)
        await events.count(number + 1)  # The browser is ready before we are; what comes earlier is not passed on.
        phone.send(SPEECH)
        await browser.received.count(1)
        numbers = await session.close()
        assert numbers.sip.packets_received >= 1
        await browser.close()
    assert (resources(engine), await media_tasks(engine)) == (before, tasks_before)


async def test_stopping_the_engine_closes_what_is_left(
    settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]
) -> None:
    threads = threading.active_count()
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    session = await engine.open(CALL)
    await session.set_matrix_offer(WEBRTC_OFFER)
    await engine.stop()
    await engine.stop()
    assert engine._ports.in_use == 0
    assert threading.active_count() == threads
    with pytest.raises(MediaError):
        await session.create_sip_offer()
    assert (await session.close()).digits_forwarded == 0


async def placed(engine: EmbeddedEngine, phone: Phone, call_id: CallId = CALL) -> EmbeddedSession:
    """A call with both legs, one of them still looking for its peer."""
    session = await engine.open(call_id)
    await session.set_matrix_offer(WEBRTC_OFFER)
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await session.create_matrix_answer()
    return session


@pytest.mark.parametrize(
    ("path", "owner", "step"),
    [
        *((path, WorkerPaths, "close_call") for path in PATHS),
        *((path, owner, "close") for path in PATHS for owner in (DtlsSession, IceAgent, WebRtcLeg)),
    ],
    indirect=["path"],
)
async def test_what_cannot_be_freed_keeps_nothing_else_and_is_freed_the_next_time(
    engine: EmbeddedEngine, phone: Phone, monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    before, tasks_before = resources(engine), await media_tasks(engine)
    session = await placed(engine, phone)
    failures = [1]
    real = getattr(owner, step)

    def broken(self: Any, *of: Any) -> Any:
        if failures:
            failures.pop()
            raise OSError("out of order")
        return real(self, *of)

    monkeypatch.setattr(owner, step, broken)
    with pytest.raises(OSError, match="out of order"):
        await session.close()
    if owner is not WebRtcLeg:
        assert engine._ports.in_use == 0
    else:
        assert 0 < engine._ports.in_use < 3
    await session.close()
    assert (resources(engine), await media_tasks(engine)) == (before, tasks_before)
    await (await placed(engine, phone)).close()


async def test_a_resource_that_hangs_does_not_keep_the_others(
    engine: EmbeddedEngine, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tasks_before = resources(engine), await media_tasks(engine)
    session = await placed(engine, phone)

    async def hanging(self: DtlsSession) -> None:
        await asyncio.get_running_loop().create_future()

    with monkeypatch.context() as broken:
        broken.setattr(closing, "STEP_LIMIT_S", 0.01)
        broken.setattr(DtlsSession, "close", hanging)
        with pytest.raises(MediaError):
            await session.close()
    assert engine._ports.in_use == 0
    await session.close()
    assert (resources(engine), await media_tasks(engine)) == (before, tasks_before)


async def test_a_worker_that_takes_no_call_leaves_no_port_behind(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resources(engine)

    def broken(*of: Any) -> None:
        raise OSError("no more descriptors")

    with monkeypatch.context() as patched:
        patched.setattr(WorkerPaths, "open_call", broken)
        with pytest.raises(MediaError, match="no more descriptors"):
            await engine.open(CALL)
    assert resources(engine) == before
    assert engine._calls == {}
    await (await engine.open(CALL)).close()


async def test_one_call_that_cannot_be_closed_does_not_keep_the_engine(
    settings: MediaSettings,
    telemetry: CountingTelemetry,
    events: Collected[MediaEvent],
    phone: Phone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = threading.active_count()
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    for number in range(3):
        await placed(engine, phone, CallId(f"call-{number}"))
    close = CallMedia.close

    async def broken(self: CallMedia) -> MediaStats:
        stats = await close(self)
        if self.call_id == "call-0":
            raise OSError("out of order")
        return stats

    monkeypatch.setattr(CallMedia, "close", broken)
    with capture_logs() as lines:
        await engine.stop()
    failed = [line for line in lines if line["event"] == "media_close_failed"]
    assert [(line["call_id"], line["error"]) for line in failed] == [("call-0", "OSError")]
    assert telemetry.total("internal_errors_total", component="media") == 1
    assert engine._ports.in_use == 0
    assert threading.active_count() == threads


async def test_a_closed_session_opens_nothing_any_more(engine: EmbeddedEngine, phone: Phone) -> None:
    before = resources(engine)
    session = await engine.open(CALL)
    await session.close()
    with pytest.raises(MediaError):
        await session.create_matrix_offer()
    with pytest.raises(MediaError):
        await session.set_matrix_offer(WEBRTC_OFFER)
    assert resources(engine) == before
