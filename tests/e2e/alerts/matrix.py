"""A homeserver in trouble, and one that sends nonsense."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from tests.e2e.alerts.callers import Callers, busy, callers
from tests.e2e.alerts.place import Place
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_offer
from tests.homeserver_model import Fault
from tests.patience import PATIENCE_S

_FOR_EVER = 1_000_000
_UNKNOWN = "+49301234567"
"""Nobody may call it."""


async def the_homeserver_is_away(scene: Callers) -> None:
    """It answers no ping, and is asked more often than in life."""
    homeserver, bridge = scene.house.homeserver, scene.house.bridge
    homeserver.faults.append(Fault(path="/ping", status=502, times=_FOR_EVER))
    await bridge.wait_metric("matrix_homeserver_up", 0)
    await scene.story.passes(5, "HomeserverSilent", title="the homeserver is away")
    homeserver.faults.clear()
    await bridge.wait_metric("matrix_homeserver_up", 1)
    await scene.story.passes(5)


async def events_come_late(scene: Callers) -> None:
    """The homeserver keeps what a user sends for two seconds."""
    homeserver = scene.house.homeserver
    user = await scene.user()
    address = homeserver.appservice_url
    homeserver.disconnect()
    for number in range(20):
        await user.hang_up(f"unknown{number}")
    await asyncio.sleep(2.1)
    homeserver.connect(address)
    await homeserver.wait_idle(20)
    await scene.house.bridge.wait_metric("matrix_homeserver_up", 1)
    await scene.story.passes(25, "MatrixEventsLate", title="events come two seconds late")
    await scene.story.passes(15)


async def the_homeserver_takes_no_events(scene: Callers) -> None:
    """It asks for time with each of them, as one does that limits our rate."""
    homeserver, bridge = scene.house.homeserver, scene.house.bridge
    user = await scene.user(_UNKNOWN)
    homeserver.faults.append(Fault(path="/send/", status=429, retry_after_ms=1_000, times=_FOR_EVER))
    for number in range(110):
        await user.invite(f"refused{number}", mute_offer(number, port=scene.house.mute_port))

    async def full() -> bool:
        return await bridge.metric("matrix_outbox_depth") > 100

    await until(full, lambda: "the outbox does not fill", limit_s=PATIENCE_S)
    await scene.story.passes(5, "OutboxFull", title="the homeserver limits us")
    homeserver.faults.clear()
    await bridge.wait_metric("matrix_outbox_depth", 0, limit_s=30)
    await scene.story.passes(5)


async def ghosts_are_refused(scene: Callers) -> None:
    """The homeserver lets the ghost neither write nor come back."""
    homeserver, bridge = scene.house.homeserver, scene.house.bridge
    users = [await scene.user(_UNKNOWN) for _ in range(10)]
    refused = await bridge.metric("matrix_send_total", outcome="refused")
    homeserver.faults += [Fault(path=path, status=403, times=_FOR_EVER) for path in ("/send/", "/v3/join/")]
    for number, user in enumerate(users):
        await user.invite(f"lost{number}", mute_offer(number, port=scene.house.mute_port))
    await bridge.wait_metric("matrix_send_total", refused + 20, outcome="refused")
    await scene.story.passes(10, "MatrixEventsNotSent", title="ghosts may not write")
    homeserver.faults.clear()
    await scene.story.passes(20)


async def an_event_is_broken(scene: Callers) -> None:
    """One that is no JSON object."""
    assert await scene.house.homeserver.push_raw("broken", {"events": ["an event"]}) == 200
    await scene.story.passes(10, "MatrixEventsNotUnderstood", title="an event is broken")
    await scene.story.passes(20)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Callers]:
    with mock.patch.multiple("bridge.matrix.pinger", _INTERVAL_S=0.3, _SECOND_S=0.3, _LONGEST_RETRY_S=0.5):
        async with callers(directory) as scene:
            scene.behaviour = busy
            yield scene


PLACE = Place(
    name="matrix",
    opened=_opened,
    causes={
        "HomeserverSilent": the_homeserver_is_away,
        "MatrixEventsLate": events_come_late,
        "OutboxFull": the_homeserver_takes_no_events,
        "MatrixEventsNotSent": ghosts_are_refused,
        "MatrixEventsNotUnderstood": an_event_is_broken,
    },
)
