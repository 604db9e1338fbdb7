"""A machine that is too busy, and a call that nobody ends."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from unittest import mock

from bridge.app.ops_port import OpsPort
from bridge.media.media_thread import MediaThread
from tests.e2e.alerts.callers import Callers, callers
from tests.e2e.alerts.place import Place
from tests.e2e.alerts.story import Story
from tests.e2e.running_bridge import Bridge
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.sip.phone import answer_at_once

AnyPart = TypeVar("AnyPart")
_HELD_S = 0.3
"""For so long something keeps an event loop, again and again."""
_LOOKS_S = 2.5
"""For about ten looks at the calls."""
_LOCKED_S = 0.8
_FOUR_HOURS_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A bridge that lets itself be looked into."""

    callers: Callers
    port: OpsPort
    media_thread: MediaThread

    @property
    def bridge(self) -> Bridge:
        """Its metrics."""
        return self.callers.house.bridge

    @property
    def story(self) -> Story:
        """As its Prometheus has it."""
        return self.callers.story


async def _keep() -> None:
    """Hold up the loop that this runs on."""
    time.sleep(_HELD_S)  # noqa: ASYNC251 - this is what it is for


async def the_signalling_loop_is_late(scene: Machine) -> None:
    """Something keeps it, as a burst of work does; SIP requests are turned away meanwhile."""

    async def turns_away() -> bool:
        await _keep()
        return await scene.bridge.metric("sip_shed_level") > 0

    await until(turns_away, lambda: "no SIP request is turned away", limit_s=PATIENCE_S)
    await scene.story.passes(15, "EventLoopLate", "SipOverload", title="the loop of signalling is late")
    await scene.bridge.wait_metric("sip_shed_level", 0)
    await scene.story.passes(20)


async def the_audio_loop_is_late(scene: Machine) -> None:
    """Once among all its looks at the calls is no alert; more often than not is one."""
    await asyncio.sleep(_LOOKS_S)
    await scene.media_thread.call(_keep())
    await scene.story.passes(20, title="the loop of audio was late once")
    began = time.monotonic()
    while time.monotonic() < began + _LOOKS_S:
        await scene.media_thread.call(_keep())
    await scene.story.passes(15, "EventLoopLate", title="the loop of audio is late")
    await scene.story.passes(20)


async def another_program_keeps_the_database(scene: Machine) -> None:
    """A backup, say, that locks it for most of a second at a time."""
    user = await scene.callers.user()
    path = scene.bridge.directory / "trunkline.sqlite3"
    for number in range(4):
        backup = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        await asyncio.to_thread(backup.execute, "BEGIN IMMEDIATE")
        await user.hang_up(f"unknown{number}")
        await asyncio.sleep(_LOCKED_S)
        await asyncio.to_thread(backup.close)
        await scene.callers.house.homeserver.wait_idle()
    await scene.story.passes(25, "StoreSlow", title="the database is locked")
    await scene.story.passes(20)


async def nobody_ends_a_call(scene: Machine) -> None:
    """It was answered four hours ago: the moment of its answer is set back, for nobody waits so long."""
    scene.callers.behaviour = answer_at_once
    user = await scene.callers.user()
    await user.invite("long", mute_offer(1, port=scene.callers.house.mute_port))
    await user.answered("long")
    for live in scene.port.desk.switchboard.directory:
        assert live.call.at.answered is not None
        live.call.at.answered -= _FOUR_HOURS_S
    await scene.story.passes(5, "CallNeverEnds", title="a call has been up for four hours")
    await user.hang_up("long")
    await scene.bridge.wait_metric("calls_active", 0)
    await scene.story.passes(5)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Machine]:
    ports: list[OpsPort] = []
    threads: list[MediaThread] = []
    with noted(OpsPort, "open", ports), noted(MediaThread, "start", threads):
        async with callers(directory) as scene:
            yield Machine(callers=scene, port=ports[0], media_thread=threads[0])


@contextmanager
def noted(kind: type[AnyPart], method: str, found: list[AnyPart]) -> Iterator[None]:
    """Keep every object of a class of which this method is called."""
    original = getattr(kind, method)

    def call(self: AnyPart, *arguments: object) -> object:
        found.append(self)
        return original(self, *arguments)

    with mock.patch.object(kind, method, call):
        yield


PLACE = Place(
    name="machine",
    opened=_opened,
    causes={
        "SipOverload": the_signalling_loop_is_late,
        "EventLoopLate": the_audio_loop_is_late,
        "StoreSlow": another_program_keeps_the_database,
        "CallNeverEnds": nobody_ends_a_call,
    },
)
