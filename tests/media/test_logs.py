"""What the media engine writes down: lines of a call name the call, addresses never show, a flood is one line."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from bridge.core.ids import CallId
from bridge.core.pii import Pii
from bridge.media.call_media import CallMedia
from bridge.media.dtls import DtlsSession
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEnded, MediaEvent, MediaFailure
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected


def named(lines: list[EventDict], event: str) -> list[EventDict]:
    """The lines of one kind."""
    return [line for line in lines if line["event"] == event]


async def test_a_fault_at_every_look_is_one_line_and_every_count(
    engine: EmbeddedEngine, telemetry: CountingTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.open(CALL)
    ticked: Collected[float] = Collected()
    loop = asyncio.get_running_loop()

    def broken(self: CallMedia, now: float) -> None:
        loop.call_soon_threadsafe(ticked.add, now)
        raise OSError("out of order")

    with capture_logs() as lines:
        monkeypatch.setattr(CallMedia, "look_after", broken)
        await ticked.count(5)
    (line,) = named(lines, "media_tick_failed")
    assert (line["call_id"], line["error"], line["suppressed"]) == (CALL, "OSError", 0)
    assert telemetry.total("internal_errors_total", component="media") >= 4


async def test_errors_in_callbacks_at_the_rate_of_packets_are_one_line(
    engine: EmbeddedEngine, telemetry: CountingTelemetry
) -> None:
    def broken() -> None:
        raise OSError("out of order")

    async def flood() -> None:
        for _ in range(100):
            asyncio.get_running_loop().call_soon(broken)

    with capture_logs() as lines:
        await engine._thread.call(flood())
        await engine._thread.call(asyncio.sleep(0))
    assert len(named(lines, "media_loop_error_caught")) == 1
    assert telemetry.total("internal_errors_total", component="media") == 100


async def test_a_leg_that_fails_says_of_which_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(self: DtlsSession, fingerprints: Any) -> bool:
        raise RuntimeError("out of order")

    monkeypatch.setattr(DtlsSession, "handshake", broken)
    session = await engine.open(CallId("call-1"))
    browser = new_browser()
    with capture_logs() as lines:
        await session.set_matrix_offer(await browser.offer())
        await browser.take_answer(await session.create_matrix_answer())
        await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]
    assert [line["call_id"] for line in named(lines, "webrtc_leg_failed")] == ["call-1"]


async def test_rtp_from_an_unexpected_address_is_told_once_in_a_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    browser, stranger = new_browser(), await Phone.open("127.0.0.2")
    await call_out(engine, browser, phone)
    await events.count(1)
    stranger.target = phone.target
    with capture_logs() as lines:
        for _ in range(20):
            stranger.send(b"\x11" * 160)
        phone.send(b"\x33" * 160)
        await browser.received.until(lambda packets: any(p.payload == b"\x33" * 160 for p in packets))
        await telemetry.until(20, "rtp_discarded_total", reason="source")
    (line,) = named(lines, "rtp_source_unexpected")
    assert (line["call_id"], line["log_level"]) == (CALL, "warning")
    assert (line["source"], line["announced"]) == (Pii("127.0.0.2"), Pii("127.0.0.1"))
    assert "127.0.0" not in str(line)
    await stranger.close()
