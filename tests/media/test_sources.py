"""Whose packets are believed: one stray packet interrupts nothing, and whoever really speaks is heard at once."""

import random

import pytest

from bridge.core.ids import CallId
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent
from bridge.media.sources import MAX_DROPOUT, MAX_MISORDER, MOST_KNOWN, Sources
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import call_out
from tests.media.test_calls import NewBrowser, paced
from tests.media.waiting import Collected, counted

A, B = 1, 2
SPEECH = [g711.ulaw_encode(frame) for frame in tone_frames(440, 20)]
STRAY = b"\x2a" * 160


@pytest.mark.parametrize(
    ("packets", "believed"),
    [
        ([(A, 7), (A, 8), (A, 10), (A, 9), (A, 10)], "yyyyy"),
        ([(A, 0xFFFF), (A, 0), (A, 0xFFFE)], "yyy"),
        ([(A, 7), (B, 900), (A, 8)], "yny"),
        ([(A, 7), (B, 900), (A, 8), (B, 901), (A, 9), (B, 902)], "ynyyyy"),
        ([(A, 7), (B, 900), (B, 905), (B, 906)], "ynny"),
        ([(A, 7), (A, 30_000), (A, 8)], "yny"),
        ([(A, 7), (A, 30_000), (A, 30_001), (A, 30_002)], "ynyy"),
        ([(A, 7), (A, 30_000), (A, 8), (A, 30_001)], "ynyn"),
        ([(A, 5000), (A, 5000 - MAX_MISORDER), (A, 5001)], "yyy"),
        ([(A, 5000), (A, 4999 - MAX_MISORDER), (A, 5001)], "yny"),
        ([(A, 5000), (A, 4999 + MAX_DROPOUT), (A, 8000)], "yyy"),
        ([(A, 5000), (A, 5000 + MAX_DROPOUT), (A, 5001)], "yny"),
    ],
    ids=[
        "in order, late and twice",
        "numbers wrap",
        "a stray of another source",
        "two sources at once",
        "a source has to be in order",
        "a stray number",
        "numbers start anew",
        "a stray number is forgotten",
        "as late as may be",
        "later than that",
        "as much lost as may be",
        "more than that",
    ],
)
def test_two_packets_in_order_are_believed(packets: list[tuple[int, int]], believed: str) -> None:
    sources = Sources()
    assert "".join("ny"[sources.believe(*packet)] for packet in packets) == believed


def test_whoever_comes_after_the_leg_has_moved_is_believed_at_once() -> None:
    sources = Sources()
    assert sources.believe(A, 7)
    sources.expect_new()
    assert sources.believe(B, 900)
    assert not sources.believe(A, 8)


def test_a_flood_of_strays_neither_fills_memory_nor_takes_the_place_of_who_speaks() -> None:
    sources, chance = Sources(), random.Random(1)
    for number in range(2000):
        assert sources.believe(A, number)
        for _ in range(5):
            assert not sources.believe(chance.randrange(10, 1 << 32), chance.getrandbits(16))
    assert len(sources._known) == MOST_KNOWN


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
@pytest.mark.parametrize("same_source", [False, True], ids=["another source", "another number"])
async def test_a_stray_packet_from_the_phone_s_address_interrupts_nothing(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    codec: str,
    same_source: bool,
) -> None:
    browser = new_browser(codec)
    session = await call_out(engine, browser, phone)
    await events.count(1)

    async def speak(number: int) -> None:
        if number == 10:
            before = phone.ssrc, phone.sequence, phone.timestamp
            phone.ssrc, phone.sequence = phone.ssrc if same_source else 99, phone.sequence + 20_000
            phone.send(STRAY, step=50_000)
            phone.ssrc, phone.sequence, phone.timestamp = before
        phone.send(SPEECH[number])

    await paced(len(SPEECH), speak)
    await browser.received.count(len(SPEECH))
    assert await telemetry.until(1, "rtp_discarded_total", reason="unproven") == 1
    stats = await counted(session, lambda stats: stats.sip.packets_received == len(SPEECH))
    assert (stats.sip.packets_lost, stats.heard_by_matrix.packets_discarded) == (0, 0)
    heard = browser.received.items[: len(SPEECH)]
    assert [packet.marker for packet in heard] == [True] + [False] * (len(SPEECH) - 1)
    if codec == "PCMU":
        assert [packet.payload for packet in heard] == SPEECH
        first = heard[0].sequence
        assert [packet.sequence - first & 0xFFFF for packet in heard] == list(range(len(SPEECH)))


@pytest.mark.parametrize("workers", [2])
async def test_a_joined_phone_does_not_hear_a_stray_packet(
    engine: EmbeddedEngine, telemetry: CountingTelemetry, phone: Phone
) -> None:
    other, sessions = await Phone.open(), []
    for number, end in enumerate((phone, other)):
        session = await engine.open(CallId(f"call-{number}"))
        await session.set_sip_offer(end.sdp())
        end.aim(await session.create_sip_answer())
        sessions.append(session)
    await sessions[0].join(sessions[1])
    for number, frame in enumerate(SPEECH):
        if number == 10:
            phone.ssrc += 1
            phone.send(STRAY, step=0)
            phone.ssrc -= 1
            phone.sequence -= 1
        phone.send(frame)
    await other.received.until(lambda packets: SPEECH[-1] in [packet.payload for packet in packets])
    assert STRAY not in [packet.payload for packet in other.received.items]
    assert await telemetry.until(1, "rtp_discarded_total", reason="unproven") == 1
    await other.close()
