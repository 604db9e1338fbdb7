"""Calls that are answered, and what is heard in them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bridge.sip.events import IncomingCall, SipEvent
from tests.e2e.alerts.callers import Surroundings, busy, callers
from tests.e2e.alerts.place import Place
from tests.e2e.waiting import until
from tests.e2e.webrtc import WebRtcPeer, loopback_candidates, mute_offer
from tests.media.rough_network import Conditions, RoughNetwork
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port
from tests.sip.phone import Phone, answer_at_once, ring, sdp

_SMOOTH = Conditions()
_ROUGH = Conditions(loss=0.2, jitter_s=0.15)
_CHECKS_ALONE = Conditions(loss=1.0)
"""Connectivity checks and DTLS come through, and no audio."""
_PACKETS = 150
"""Three seconds."""
_LATE_S = 3.2
_RINGS_AFTER_S = 6.1
_ENOUGH_CALLS = 5


class Echo(asyncio.DatagramProtocol):
    """The audio of a phone that says what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, payload: bytes, source: tuple[str, int]) -> None:
        self.transport.sendto(payload, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Talkers(Surroundings):
    """Users with real WebRTC ends, and a phone that echoes or is mute."""

    echo_port: int

    def echoing(self, phone: Phone, event: SipEvent) -> None:
        """A phone that answers and is heard."""
        if isinstance(event, IncomingCall):
            phone.endpoint.accept(event.dialog, sdp(self.echo_port))

    async def talk(self, conditions: Conditions, enough: str, at_least: float, *, late_s: float = 0.0) -> None:
        """Call over a network with Opus alone, which has to be transcoded, until a metric has grown."""
        bridge = self.callers.house.bridge
        user, peer = await self.callers.user(), WebRtcPeer()
        wanted = at_least + await bridge.metric(enough)

        async def heard() -> bool:
            return await bridge.metric(enough) >= wanted

        with RoughNetwork(conditions) as network:
            try:
                offer = await peer.offer()
                opus = re.search(r"a=rtpmap:(\d+) opus", offer)
                assert opus is not None
                only_opus = re.sub(r"(m=audio \d+ \S+) .*?(\r?\n)", rf"\1 {opus[1]}\2", offer)
                await user.invite("call", network.hidden(only_opus))
                answer = await user.answered("call")
                await asyncio.sleep(late_s)
                await peer.connect(network.shown(answer))
                await until(heard, lambda: f"{enough} is not {wanted}", limit_s=PATIENCE_S)
                await user.hang_up("call")
            finally:
                await peer.close()
        await bridge.wait_metric("calls_active", 0)


async def the_network_is_rough(scene: Talkers) -> None:
    """First it is not; then one packet in five is lost on the way to and from the client, and the others are late."""
    scene.callers.behaviour = scene.echoing
    await scene.talk(_SMOOTH, "rtp_packets_total", 4 * _PACKETS)
    await scene.story.passes(70, title="a call over a good network")
    await asyncio.gather(*(scene.talk(_ROUGH, "rtp_packets_total", 9 * _PACKETS) for _ in range(3)))
    await scene.story.passes(
        70, "PacketsLost", "PacketsUnsteady", "AudioMadeUp", "SoundsBad", title="calls over a bad one"
    )
    await scene.story.passes(70)


async def a_client_connects_late(scene: Talkers) -> None:
    """It begins to check the ways to us some seconds after the answer."""
    scene.callers.behaviour = scene.echoing
    await scene.talk(_SMOOTH, "rtp_packets_total", 1, late_s=_LATE_S)
    await scene.story.passes(20, "AudioComesLate", title="a client connects late")
    await scene.story.passes(70)


async def a_phone_is_not_heard(scene: Talkers) -> None:
    """Its audio goes somewhere else, in two calls."""
    scene.callers.behaviour = answer_at_once
    await scene.talk(_SMOOTH, "one_way_calls_total", 1)
    await scene.story.passes(5, title="one phone is mute")
    await scene.talk(_SMOOTH, "one_way_calls_total", 1)
    await scene.story.passes(5, "OneWayAudio", title="another phone is mute")
    await scene.story.passes(70)


async def nobody_is_heard(scene: Talkers) -> None:
    """A firewall lets connectivity checks pass and no audio, and phones are mute."""
    scene.callers.behaviour = answer_at_once
    for _ in range(2):
        await scene.talk(_CHECKS_ALONE, "silent_calls_total", 1)
    await scene.story.passes(5, "NoAudio", title="nobody is heard")
    await scene.story.passes(70)


async def clients_do_not_get_through(scene: Talkers) -> None:
    """Nobody answers our connectivity checks."""
    callers = scene.callers
    callers.behaviour = answer_at_once
    users = [await callers.user() for _ in range(_ENOUGH_CALLS)]
    for number, user in enumerate(users):
        await user.invite("call", mute_offer(number, port=callers.house.mute_port))
    await callers.house.bridge.wait_metric("webrtc_not_connected_total", _ENOUGH_CALLS, missing="ice")
    await scene.story.passes(10, "ClientsDoNotConnect", title="no client connects")
    await scene.story.passes(20)


async def a_phone_rings_late(scene: Talkers) -> None:
    """Its trunk needs six seconds to find it."""
    loop = asyncio.get_running_loop()

    def late(phone: Phone, event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            loop.call_later(_RINGS_AFTER_S, ring, phone, event)
            loop.call_later(_RINGS_AFTER_S + 0.2, busy, phone, event)

    await scene.callers.call(late)
    await scene.story.passes(30, "RingsLate", title="a phone rings late")
    await scene.story.passes(40)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Talkers]:
    media = {"silence_first_s": 1.5, "connect_timeout_s": 4.0}
    loop, port = asyncio.get_running_loop(), free_port(span=2)  # the second is for RTCP, which nobody reads
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=(LOOPBACK, port))
    try:
        with loopback_candidates():
            async with callers(directory, media=media) as scene:
                yield Talkers(callers=scene, echo_port=port)
    finally:
        transport.close()


PLACE = Place(
    name="audio",
    opened=_opened,
    causes={
        "PacketsLost": the_network_is_rough,
        "PacketsUnsteady": the_network_is_rough,
        "AudioMadeUp": the_network_is_rough,
        "SoundsBad": the_network_is_rough,
        "AudioComesLate": a_client_connects_late,
        "OneWayAudio": a_phone_is_not_heard,
        "NoAudio": nobody_is_heard,
        "ClientsDoNotConnect": clients_do_not_get_through,
        "RingsLate": a_phone_rings_late,
    },
)
