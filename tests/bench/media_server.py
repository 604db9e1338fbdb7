"""The process whose processor time `media` measures: an engine, and nothing else.

One call a line on the standard input, as JSON: the client's offer and the phone's answer; one line of ours for each,
with the answer to the client and the offer to the phone.
"""

import asyncio
import json
import sys

import structlog

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media.embedded import EmbeddedEngine
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.counting import CountingTelemetry
from tests.peers.process import LOOPBACK


async def serve(engine: EmbeddedEngine) -> None:
    """Open calls until the input ends."""
    loop, calls = asyncio.get_running_loop(), 0
    await engine.start(lambda event: None)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked, calls = json.loads(line), calls + 1
        session = await engine.open(CallId(f"call-{calls}"))
        await session.set_matrix_offer(asked["offer"])
        sip = await session.create_sip_offer()
        await session.set_sip_answer(asked["phone"])
        print(json.dumps({"answer": await session.create_matrix_answer(), "sip": sip}), flush=True)
    await engine.stop()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = MediaSettings(engine=PathChoice(sys.argv[1]), webrtc_hosts=(LOOPBACK,), rtp_host=LOOPBACK)
    asyncio.run(
        serve(
            EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry()),
        )
    )
