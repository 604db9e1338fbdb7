"""Whole calls through the engine, with a WebRTC stack on one side and an RTP socket on the other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bridge.media import g711, tones
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import IceCandidate, MediaConnected, MediaEvent, MediaStats
from bridge.media.opus import OpusDecoder, OpusEncoder
from bridge.media.rtp import RtpPacket
from tests.media.browser import Browser
from tests.media.phone import FRAME_S, Phone, tone_frames
from tests.media.placing import CALL, call_in, call_out
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S

NewBrowser = Callable[..., Browser]


async def paced(count: int, send: Callable[[int], Awaitable[None]]) -> None:
    """Call `send` every 20 ms, as a microphone would."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(count):
        due = loop.create_future()
        loop.call_at(start + number * FRAME_S, due.set_result, None)
        await due
        await send(number)


def talk_of(packets: list[RtpPacket], spoken: list[bytes]) -> list[RtpPacket]:
    """The packets that carry what was said, without the silence before and between."""
    return [packet for packet in packets if packet.payload in spoken]


Place = Callable[[EmbeddedEngine, Browser, Phone], Awaitable[EmbeddedSession]]


@pytest.mark.parametrize("place", [call_out, call_in])
async def test_g711_passes_through_unchanged_both_ways(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, place: Place
) -> None:
    numbers = await g711_heard_both_ways(engine, events, phone, new_browser(), place)
    assert numbers.matrix.packets_received == 50
    assert numbers.sip.packets_received == 50


async def g711_heard_both_ways(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, browser: Browser, place: Place
) -> MediaStats:
    """A call of 50 packets each way, which come as they were sent; its numbers."""
    session = await place(engine, browser, phone)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    spoken = [g711.ulaw_encode(frame) for frame in tone_frames(440, 50)]
    for frame in spoken:
        await browser.send(frame, 0, step=160)
        phone.send(frame)
    await phone.received.until(lambda packets: len(talk_of(packets, spoken)) == 50)
    await browser.received.until(lambda packets: len(talk_of(packets, spoken)) == 50)
    assert len({packet.ssrc for packet in phone.received.items}) == 1
    for talk in (talk_of(phone.received.items, spoken), talk_of(browser.received.items, spoken)):
        assert [packet.payload for packet in talk] == spoken
        assert [(p.sequence - talk[0].sequence) & 0xFFFF for p in talk] == list(range(50))
        assert [(p.timestamp - talk[0].timestamp) & 0xFFFFFFFF for p in talk] == [160 * n for n in range(50)]
    numbers = await session.close()
    assert (numbers.matrix.codec, numbers.sip.codec, numbers.transcoded) == ("PCMU", "PCMU", False)
    return numbers


def is_heard(pcm: bytes, pitch_hz: float) -> bool:
    """Whether the last second is this tone at -12 dBFS: so soon as a busy machine has left a second alone."""
    second = pcm[-2 * 8000 :]
    pitch, level = tones.dominant_pitch_hz(second), tones.level_dbfs(second[:8000])
    return len(second) == 2 * 8000 and abs(pitch - pitch_hz) <= 3 and abs(level + 12) <= 3


def decoded(packets: list[RtpPacket]) -> bytes:
    """What a client hears."""
    decoder = OpusDecoder()
    return b"".join(decoder.decode(packet.payload) for packet in packets)


@pytest.mark.parametrize("place", [call_out, call_in])
async def test_opus_is_transcoded_with_pitch_and_level_kept(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, place: Place
) -> None:
    browser = new_browser("opus")
    session = await place(engine, browser, phone)
    await events.count(1)
    payload_type = int(
        next(line for line in browser.connection.localDescription.sdp.splitlines() if "opus/48000" in line)
        .split(":")[1]
        .split()[0]
    )
    encoder = OpusEncoder()
    mine, theirs = tone_frames(440, 100), tone_frames(1000, 100)

    async def both(number: int) -> None:
        await browser.send(encoder.encode(mine[number % 100]), payload_type, step=960)
        phone.send(g711.ulaw_encode(theirs[number % 100]))

    speaking = asyncio.create_task(paced(round(2 * PATIENCE_S / FRAME_S), both))
    await phone.received.until(lambda packets: len(packets) % 25 == 0 and is_heard(phone.audio(), 440))
    await browser.received.until(lambda packets: len(packets) % 25 == 0 and is_heard(decoded(packets), 1000))
    speaking.cancel()
    numbers = await session.close()
    assert (numbers.matrix.codec, numbers.sip.codec, numbers.transcoded) == ("OPUS", "PCMU", True)


async def test_candidates_may_be_trickled(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    offer = await browser.offer()
    lines = offer.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate")]
    bare = "\r\n".join(line for line in lines if line not in (*candidates, "a=end-of-candidates")) + "\r\n"
    session = await engine.open(CALL)
    await session.set_matrix_offer(bare)
    await session.add_matrix_candidates(
        [IceCandidate(candidate=line.upper().replace("A=CANDIDATE", "candidate"), sdp_mid="") for line in candidates]
    )
    await session.add_matrix_candidates([IceCandidate(candidate="")])
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    await session.close()
