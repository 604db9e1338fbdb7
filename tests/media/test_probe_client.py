"""The client that places test calls: it speaks a tone through the engine, and knows what it hears."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.app.probe.echo_phone import EchoAudio
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media.embedded import EmbeddedEngine
from bridge.media.probe import tone
from bridge.media.probe.client import ClientFigures, ProbeClient
from bridge.media.probe.tone import ToneEar
from bridge.media.settings import MediaSettings
from bridge.media.tones import sine
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.patience import PATIENCE_S
from tests.peers.process import free_port

SECOND = 8000


async def _eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _connected(engine: EmbeddedEngine, settings: MediaSettings, answer: str) -> ProbeClient:
    """A client in a call with a phone that answers with this description."""
    client = ProbeClient(settings, entropy=SystemEntropy(), clock=SystemClock())
    session = await engine.open(CallId("probe"))
    await session.set_matrix_offer(_without_candidates(await client.offer()))
    await session.create_sip_offer()
    await session.set_sip_answer(answer)
    assert await client.connect(await session.create_matrix_answer())
    return client


def _without_candidates(offer: str) -> str:
    """As the engine sees it where it sends no checks to private addresses, which the client's are."""
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith("a=candidate:"))


async def test_an_echo_is_heard_with_its_level_and_its_delay(engine: EmbeddedEngine, settings: MediaSettings) -> None:
    loop, local = asyncio.get_running_loop(), ("127.0.0.1", free_port(span=2))  # the second is for RTCP
    transport, echo = await loop.create_datagram_endpoint(lambda: EchoAudio(77), local_addr=local)
    description = (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {echo.port} RTP/AVP 8"
    )
    client = await _connected(engine, settings, f"{description}\r\n")
    try:
        await _eventually(lambda: client.figures().heard.own_tone >= 40)
        figures = client.figures()
    finally:
        await client.close()
        transport.close()
    assert figures.heard.level_dbfs == pytest.approx(tone.SENT_DBFS, abs=2)
    assert figures.echo_ms is not None
    assert 0 <= figures.echo_ms < 2_000
    assert figures.codec == "OPUS" or figures.codec.startswith("PCM")
    assert figures.packets_received >= 40


async def test_a_phone_that_says_nothing_is_not_heard(
    engine: EmbeddedEngine, settings: MediaSettings, phone: Phone
) -> None:
    client = await _connected(engine, settings, phone.sdp("8"))
    try:
        await _eventually(lambda: client.figures().packets_sent >= 25 and len(phone.received.items) > 10)
        heard = client.figures().heard
    finally:
        await client.close()
    assert (heard.audible, heard.own_tone, heard.level_dbfs) == (0, 0, None)


async def test_behind_a_nat_it_does_not_depend_on_the_outside_letting_it_in_again(
    settings: MediaSettings, phone: Phone
) -> None:
    outside = replace(settings, advertised_hosts=("203.0.113.7",))
    engine = EmbeddedEngine(outside, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())
    await engine.start(lambda event: None)
    client = None
    try:
        client = await _connected(engine, outside, phone.sdp("8"))
        await phone.received.count(10)
    finally:
        if client is not None:
            await client.close()
        await engine.stop()


async def test_it_can_be_closed_at_any_time(settings: MediaSettings) -> None:
    client = ProbeClient(settings, entropy=SystemEntropy(), clock=SystemClock())
    await client.close()
    await client.offer()
    await client.close()
    await client.close()
    assert client.figures() == ClientFigures()


def test_the_tone_is_told_from_other_sounds() -> None:
    ear = ToneEar()
    ear.hear(b"".join(map(tone.frame, range(50))), now=1.0)
    ear.hear(sine(440, 1.0, level_dbfs=-12), now=2.0)
    ear.hear(sine(480, 1.0, level_dbfs=-12), now=3.0)
    ear.hear(bytes(2 * SECOND), now=4.0)
    heard = ear.heard()
    assert (heard.frames, heard.audible, heard.own_tone, heard.own_tone_at) == (200, 135, 35, 1.0)


def test_frames_may_come_in_any_pieces() -> None:
    ear, said = ToneEar(), b"".join(map(tone.frame, range(10)))
    for start in range(0, len(said), 100):
        ear.hear(said[start : start + 100], now=0.0)
    assert ear.heard().own_tone == 10


def test_a_line_is_never_quite_silent() -> None:
    ear = ToneEar()
    ear.hear(sine(200, 1.0, level_dbfs=-55), now=0.0)
    assert ear.heard().audible == 0
