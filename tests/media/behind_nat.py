"""One end of a call behind a NAT, as a process that runs in a network of its own: `bridge SETTINGS` or `client STUN`.

Descriptions go over standard output and input, one a line in JSON; the last line says whether the other end was heard.
"""

import asyncio
import contextlib
import json
import logging
import sys
from typing import Any

import structlog
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import g711, gathering
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaConnected, MediaEvent
from bridge.media.ice_servers import StunServer, TurnServer
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S

SPEECH, CLIENT_SPEECH = (g711.ulaw_encode(tone_frames(pitch, 1)[0]) for pitch in (700, 900))


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


async def hear() -> Any:
    return json.loads(await asyncio.to_thread(sys.stdin.readline))


async def speak_until_heard(speak: Any, heard: Any) -> bool:
    """Speak until the other was heard, and some more, so that it hears us as well; it may have left by then."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            while not heard():
                await speak()
                await asyncio.sleep(0.02)
        for _ in range(25):
            await speak()
            await asyncio.sleep(0.02)
    return bool(heard())


async def bridge(options: dict[str, Any]) -> None:
    """The engine, with a phone beside it."""
    settings = MediaSettings(
        engine=PathChoice(options["engine"]),
        connect_timeout_s=options["connect_timeout_s"],
        stun_servers=tuple(StunServer(**server) for server in options["stun"]),
        turn_servers=tuple(TurnServer(**server) for server in options["turn"]),
    )
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())
    events: Collected[MediaEvent] = Collected()
    await engine.start(events.add)
    phone, session = await Phone.open(), await engine.open(CallId("call"))
    await session.set_sip_offer(phone.sdp())
    tell(sdp=await session.create_matrix_offer())
    await session.set_matrix_answer((await hear())["sdp"])
    phone.aim(await session.create_sip_answer())
    connected = isinstance((await events.count(1))[0], MediaConnected)

    async def speak() -> None:
        phone.send(SPEECH)

    heard = connected and await speak_until_heard(
        speak, lambda: any(packet.payload == CLIENT_SPEECH for packet in phone.received.items)
    )
    tell(heard=heard)
    await engine.stop()
    await phone.close()


async def client(stun: str) -> None:
    """A user's device, which knows a STUN server."""
    browser = Browser("PCMU")
    browser.connection = RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(urls=stun)]))
    tell(sdp=await browser.answer((await hear())["sdp"]))
    try:
        await browser.connected()
    except TimeoutError:
        tell(heard=False)
    else:

        async def speak() -> None:
            await browser.send(CLIENT_SPEECH, 0, step=160)

        tell(
            heard=await speak_until_heard(
                speak, lambda: any(packet.payload == SPEECH for packet in browser.received.items)
            )
        )
    await browser.close()


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    role, argument = sys.argv[1:]
    gathering.WAIT_S = gathering.ANSWER_LIMIT_S = 5.0  # the machine may be busy with other tests
    asyncio.run(bridge(json.loads(argument)) if role == "bridge" else client(argument))


if __name__ == "__main__":
    main()
