"""Servers and ports that carry the audio, and are not enough; and a bridge that does not hear itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from bridge.media.embedded import EmbeddedEngine
from bridge.media.verdicts import unavailable
from tests.e2e.alerts.callers import Callers, Surroundings, callers
from tests.e2e.alerts.place import Place
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_offer
from tests.peers.process import free_port
from tests.peers.rtpengine import Rtpengine
from tests.sip.phone import answer_at_once, ring

_PORTS = 4
"""Enough for a single call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers(Surroundings):
    """A bridge whose audio two servers carry."""

    first: Rtpengine


async def a_media_server_ends(scene: Servers) -> None:
    """One of two is killed."""
    bridge = scene.callers.house.bridge
    await scene.first.crash()
    await bridge.wait_metric("media_server_up", 0, server="1")
    await scene.story.passes(5, "MediaServerDown", title="a server is killed")
    await scene.first.start()
    await bridge.wait_metric("media_server_up", 1, server="1")
    await scene.story.passes(5)


async def no_port_is_left(scene: Callers) -> None:
    """A call has all ports there are when the next one comes."""
    scene.behaviour = answer_at_once
    user = await scene.user()
    await user.invite("only", mute_offer(1, port=scene.house.mute_port))
    await user.answered("only")
    await scene.call(ring)
    await user.hang_up("only")
    await scene.house.bridge.wait_metric("calls_active", 0)
    await scene.story.passes(8, "NoRoomForAudio", "CallsFail", title="a call finds no port")
    await scene.story.passes(420)


async def it_does_not_hear_itself(scene: Callers) -> None:
    """Its call to itself gets no audio, and the next one does."""
    bridge = scene.house.bridge

    async def has_failed() -> bool:
        return 'trunkline_self_test_success{through="echo"} 0.0' in await bridge.metrics()

    with mock.patch.object(EmbeddedEngine, "open", side_effect=unavailable("out of order")):
        await until(has_failed, lambda: "no call of its own has failed", limit_s=30)
    await scene.story.passes(10, "SelfTestFails", title="it does not hear itself")
    await bridge.wait_metric("self_test_success", 1, limit_s=30)
    await scene.story.passes(5)


@asynccontextmanager
async def _two_servers(directory: Path) -> AsyncIterator[Servers]:
    async with Rtpengine(directory, name="first") as first, Rtpengine(directory, name="second") as second:
        addresses = [f"{server.address.host}:{server.address.port}" for server in (first, second)]
        async with callers(directory, media={"engine": "rtpengine", "rtpengine": addresses}) as scene:
            await scene.house.bridge.wait_metric("media_server_up", 2)
            yield Servers(callers=scene, first=first)


@asynccontextmanager
async def _few_ports(directory: Path) -> AsyncIterator[Callers]:
    first = free_port(span=_PORTS)
    async with callers(directory, media={"ports": f"{first}-{first + _PORTS - 1}"}) as scene:
        yield scene


@asynccontextmanager
async def _calling_itself(directory: Path) -> AsyncIterator[Callers]:
    with mock.patch.multiple("bridge.app.probe.self_calls", FIRST_AFTER_S=2.0, AGAIN_AFTER_S=0.2):
        async with callers(directory, ops={"test_calls": {"every_s": 10}}) as scene:
            yield scene


SERVERS = Place(name="media servers", opened=_two_servers, causes={"MediaServerDown": a_media_server_ends})
PORTS = Place(name="ports", opened=_few_ports, causes={"NoRoomForAudio": no_port_is_left})
ITSELF = Place(name="itself", opened=_calling_itself, causes={"SelfTestFails": it_does_not_hear_itself})
