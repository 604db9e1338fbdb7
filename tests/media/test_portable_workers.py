"""Worker processes of the portable path: one that dies takes its own calls along, and nothing else."""

import asyncio
import contextlib
import os
import signal
import subprocess
from dataclasses import replace
from itertools import product

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import Ear, MediaEnded, MediaError, MediaEvent, MediaFailure, SoundPlayed
from bridge.media.formats import Codec
from bridge.media.portable import engine as portable_engine
from bridge.media.portable import process
from bridge.media.portable.process import IGNORED, WorkerGoneError, WorkerProcess
from bridge.media.portable.shared_sound import SharedSound, share
from bridge.media.portable.worker import next_turn
from bridge.media.portable_path import PortablePaths
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser
from tests.media.test_playing import NOTICE, answered, frames_of
from tests.media.test_resources import SPEECH
from tests.media.waiting import Collected, counted
from tests.patience import PATIENCE_S


def workers(engine: EmbeddedEngine) -> list[int]:
    """The processes, that of the calls opened first in front."""
    assert isinstance(engine._paths, PortablePaths)
    return [worker.pid for worker in engine._paths.engine._workers]


async def complete(engine: EmbeddedEngine, count: int) -> None:
    """Wait until there are so many again; calls are taken all the while."""
    async with asyncio.timeout(PATIENCE_S):
        while len(workers(engine)) < count:
            with contextlib.suppress(MediaError):
                await (await engine.open(CallId("next"))).close()
            await asyncio.sleep(0.05)


ON_WORKERS = pytest.mark.parametrize("path", [PathChoice.PORTABLE], indirect=True)


@ON_WORKERS
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
    await complete(engine, 2)
    await engine.stop()


@ON_WORKERS
async def test_nobody_who_asks_for_numbers_waits_for_a_worker_that_hangs(
    engine: EmbeddedEngine, phone: Phone, events: Collected[MediaEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ANSWER_LIMIT_S", 1.0)
    session = await answered(engine, phone)
    phone.send(SPEECH)
    await counted(session, lambda stats: stats.sip.packets_received == 1)
    for pid in workers(engine):
        os.kill(pid, signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    for _ in range(20):
        began = loop.time()
        assert session.stats().sip.packets_received == 1
        assert loop.time() - began < 0.5
        await asyncio.sleep(0.01)
    assert await events.count(1) == [MediaEnded(call_id=CALL, failure=MediaFailure.WORKER_ENDED)]


@ON_WORKERS
async def test_nobody_waits_for_a_replacement_that_does_not_come_up(
    settings: MediaSettings, telemetry: CountingTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = replace(settings, workers=2)
    engine = EmbeddedEngine(two, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(lambda event: None)
    asked = list["subprocess.Popen[bytes]"]()

    def never_up(control: int, wake: int) -> "subprocess.Popen[bytes]":
        asked.append(subprocess.Popen(("sleep", "60"), pass_fds=(control, wake)))
        return asked[-1]

    loop, slowest_s = asyncio.get_running_loop(), 0.0
    with monkeypatch.context() as broken:
        broken.setattr(process, "_started", never_up)
        broken.setattr(portable_engine, "START_LIMIT_S", 1.0)
        os.kill(workers(engine)[0], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while len(asked) < 2:
                began = loop.time()
                await (await engine.open(CallId("meanwhile"))).close()
                slowest_s = max(slowest_s, loop.time() - began)
                await asyncio.sleep(0.05)
    assert slowest_s < 1.0
    asked[-1].kill()  # Not waited for either: the limit is the real one again.
    await complete(engine, 2)
    await engine.stop()


@ON_WORKERS
async def test_a_worker_that_takes_the_place_of_another_knows_every_sound(
    engine: EmbeddedEngine, phone: Phone, events: Collected[MediaEvent]
) -> None:
    count = len(workers(engine))
    session = await answered(engine, phone)
    await session.play(NOTICE, Ear.PHONE)
    for pid in workers(engine):
        os.kill(pid, signal.SIGKILL)
    await events.until(lambda seen: MediaEnded(call_id=CALL, failure=MediaFailure.WORKER_ENDED) in seen)
    await session.close()
    await complete(engine, count)
    again = await answered(engine, phone)
    phone.received.clear()
    number = await again.play(NOTICE, Ear.PHONE)
    await events.until(lambda seen: SoundPlayed(call_id=CALL, number=number) in seen)
    assert len(frames_of(phone.received.items, NOTICE)) >= 24


@pytest.mark.parametrize("codec", list(Codec))
def test_a_sound_in_shared_memory_is_the_same_sound(codec: Codec) -> None:
    shared = SharedSound(share(NOTICE))
    assert tuple(shared.frames(codec)) == NOTICE.frames(codec)
    assert shared.duration_ms == NOTICE.duration_ms
    lengths = (20,) if codec is Codec.OPUS else (10, 30, 60)
    for start_ms, length_ms, repeats in product((0, 60, 480, 510), lengths, (False, True)):
        wanted = NOTICE.payload(codec, start_ms, length_ms, repeats=repeats)
        assert shared.payload(codec, start_ms, length_ms, repeats=repeats) == wanted


async def test_a_worker_ends_with_the_process_that_wanted_it() -> None:
    worker = WorkerProcess()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for _ in ("in its first moment", "at work"):
        for meant_for_the_bridge in IGNORED:
            os.kill(worker.pid, meant_for_the_bridge)
        worker.ask("look_after")
    assert worker.stop() == 0
    assert not before & IGNORED


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
