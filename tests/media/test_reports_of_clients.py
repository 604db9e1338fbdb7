"""RTCP with a client's own code at the other end: it understands our reports, and we understand its."""

import asyncio

from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaStats
from tests.media.phone import FRAME_S, Phone, tone_frames
from tests.media.placing import CALL
from tests.media.webrtc_stacks import libwebrtc
from tests.patience import PATIENCE_S

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


def all_is_known_and_good(stats: MediaStats) -> bool:
    """As on a network of one machine, once that leaves the call alone for some seconds."""
    round_trip_ms, mos = stats.matrix.round_trip_ms, stats.sip.mos
    return round_trip_ms is not None and 0 <= round_trip_ms < 1000 and mos is not None and mos > 3.5


async def test_libwebrtc_answers_our_reports(engine: EmbeddedEngine, phone: Phone) -> None:
    client = await libwebrtc("ECDSA")
    session = await engine.open(CALL)
    await session.set_matrix_offer(await client.offer())
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp("0 101"))
    await client.take_answer(await session.create_matrix_answer())
    await client.connected()

    stats = session.stats()
    async with asyncio.timeout(PATIENCE_S):
        while not all_is_known_and_good(stats):
            phone.send(SPEECH)
            await client.speak()
            await asyncio.sleep(FRAME_S)
            stats = session.stats()
    assert stats.matrix.far_packets_lost is not None
    assert stats.heard_by_matrix.audible
    await client.close()
