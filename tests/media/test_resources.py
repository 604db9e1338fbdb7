"""Nothing is left behind, and what runs out is told."""

import asyncio
import os
import threading
from dataclasses import replace

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaError, MediaEvent
from bridge.media.settings import MediaSettings
from tests.media.counting import CountingTelemetry
from tests.media.descriptions import WEBRTC_OFFER
from tests.media.free_ports import free_ports
from tests.media.phone import Phone, tone_frames
from tests.media.test_calls import CALL, NewBrowser, call_out
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


async def test_ports_that_run_out_are_told_not_waited_for(
    settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]
) -> None:
    low = free_ports(4)
    narrow = replace(settings, port_min=low, port_max=low + 3)
    engine = EmbeddedEngine(narrow, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    for number in range(2):
        await engine.open(CallId(f"call-{number}"))
    with pytest.raises(MediaError) as refused:
        await engine.open(CallId("call-2"))
    assert refused.value.verdict.sip_status == 503
    await engine.stop()


def resources(engine: EmbeddedEngine) -> tuple[int, int, int]:
    """Open files, threads and ports."""
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
    assert (resources(engine), await media_tasks(engine)) == (before, tasks_before)


async def test_connected_calls_leave_nothing_behind(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    before, tasks_before = resources(engine), await media_tasks(engine)
    for _ in range(3):
        browser = new_browser("opus")
        session = await call_out(engine, browser, phone)
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
