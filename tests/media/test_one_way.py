"""Calls in which somebody is not heard, whole and over real sockets: told of, and not ended."""

import asyncio
from dataclasses import replace

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaConnected, MediaEvent, Silent
from bridge.media.leg_reports import LegReports
from bridge.media.outbound import OutboundStream
from bridge.media.settings import MediaSettings
from bridge.media.silence_watch import SilenceLimits
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_out
from tests.media.test_calls import NewBrowser, paced
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])
FRAMES = 60


@pytest.fixture
def impatient(settings: MediaSettings) -> MediaSettings:
    return replace(settings, rtp_timeout_s=0.0, silence=SilenceLimits(first_s=0.5, later_s=0.5))


@pytest.mark.parametrize("silent", [Silent.MATRIX, Silent.SIP])
async def test_a_side_that_is_not_heard_is_told_of_and_the_call_goes_on(
    impatient: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    silent: Silent,
) -> None:
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)

    async def speak(number: int) -> None:
        if silent is Silent.MATRIX:
            phone.send(SPEECH)
        else:
            await browser.send(SPEECH, 0, step=160)

    # It is a matter of one side's silence while the other speaks: it speaks until that has been seen.
    speaking = asyncio.create_task(paced(20 * FRAMES, speak))
    assert await telemetry.until(1, "one_way_calls_total", silent=silent.value) == 1
    speaking.cancel()
    final = await session.close()
    assert final.silent is silent
    assert (final.heard_by_matrix if silent is Silent.MATRIX else final.heard_by_sip).audible
    assert events.items == [MediaConnected(call_id=CALL)]
    assert telemetry.total("silent_calls_total") == 0
    await engine.stop()


async def test_a_phone_that_sends_reports_alone_is_not_silent(
    impatient: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    """A muted phone that pauses (DTX) still says by RTCP that it is there."""
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    browser: Browser = new_browser("PCMU")
    session = await call_out(engine, browser, phone)
    stream = OutboundStream(SystemEntropy())
    reports = LegReports(stream.ssrc, "phone", 0.0)

    async def report(number: int) -> None:
        await browser.send(SPEECH, 0, step=160)
        report = reports.due(stream, 8000, number * 10.0, 1_700_000_000.0)
        if report is not None:
            phone.transport.sendto(report, (phone.target[0], phone.target[1] + 1))

    await paced(FRAMES, report)
    assert session.stats().silent is None
    assert telemetry.total("one_way_calls_total") == 0
    await engine.stop()
