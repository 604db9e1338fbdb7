"""Worker processes of the portable path: one that dies takes its own calls along, and nothing else."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEnded, MediaEvent, MediaFailure
from bridge.media.portable.process import WorkerGoneError, WorkerProcess
from bridge.media.portable.worker import next_turn
from bridge.media.portable_path import PortablePaths
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.media.test_calls import NewBrowser, call_out
from tests.media.test_resources import SPEECH
from tests.media.waiting import LIMIT_S, Collected


def workers(engine: EmbeddedEngine) -> list[int]:
    """The processes, that of the calls opened first in front."""
    assert isinstance(engine._paths, PortablePaths)
    return [worker.pid for worker in engine._paths.engine._workers]


@pytest.mark.parametrize("path", [PathChoice.PORTABLE], indirect=True)
async def test_a_worker_that_dies_ends_its_calls_and_is_replaced(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    two = replace(settings, workers=2)
    engine = EmbeddedEngine(two, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    doomed = await engine.open(CallId("doomed"))
    await doomed.set_sip_offer(phone.sdp())
    browser = new_browser()
    await call_out(engine, browser, phone)
    await events.count(1)
    os.kill(workers(engine)[0], signal.SIGKILL)
    ended = (await events.count(2))[1]
    assert ended == MediaEnded(call_id=CallId("doomed"), failure=MediaFailure.WORKER_ENDED)
    assert telemetry.total("media_workers_ended_total") == 1
    assert (await doomed.close()).sip.packets_received == 0
    await browser.send(SPEECH, 0, step=160)
    await phone.received.count(1)
    async with asyncio.timeout(LIMIT_S):
        while len(workers(engine)) < 2:
            await (await engine.open(CallId("next"))).close()
            await asyncio.sleep(0.05)
    await engine.stop()


async def test_a_worker_ends_with_the_process_that_wanted_it() -> None:
    worker = WorkerProcess()
    worker.ask("collect")
    os.kill(worker.pid, signal.SIGTERM)
    os.kill(worker.pid, signal.SIGINT)
    worker.ask("look_after")
    assert worker.stop() == 0


async def test_a_fault_of_a_command_is_told_and_survived() -> None:
    worker = WorkerProcess()
    with pytest.raises(RuntimeError, match="no such thing"):
        worker.ask("no such thing")
    worker.ask("collect")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerGoneError):
        worker.ask("collect")
    assert worker.stop() == -signal.SIGKILL


def test_turns_that_were_held_up_are_made_up_for() -> None:
    due, taken = 100.0, 0
    for now in (100.0, 100.012, 100.012, 100.0151):
        assert now >= due
        due, taken = next_turn(due, now), taken + 1
    assert due == pytest.approx(100.0 + 0.005 * taken)


def test_after_a_stop_of_the_machine_every_call_is_served_once() -> None:
    due, now, taken = 100.0, 160.0, 0
    while now >= due:
        due, taken = next_turn(due, now), taken + 1
    assert taken == 4
    assert due == pytest.approx(160.005)
