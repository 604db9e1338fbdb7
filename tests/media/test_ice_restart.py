"""A client changes networks: the audio goes on over the old path until the new one is proven, then over the new one."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aioice.ice
import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import g711, webrtc
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import IceCandidate, MediaConnected, MediaEnded, MediaEvent, MediaFailure
from bridge.media.rtp import RtpPacket
from bridge.media.settings import MediaSettings
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL, call_in, call_out
from tests.media.restarting import Restart, cut
from tests.media.test_calls import NewBrowser, Place
from tests.media.waiting import Collected
from tests.sip.phone import eventually

BEFORE, AFTER = (g711.ulaw_encode(tone_frames(pitch, 1)[0]) for pitch in (700, 900))
NewRestart = Callable[[Browser], Restart]


@pytest.fixture
async def new_restart() -> AsyncIterator[NewRestart]:
    made: list[Restart] = []

    def make(browser: Browser) -> Restart:
        made.append(Restart(browser))
        return made[-1]

    yield make
    for restart in made:
        await restart.close()


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "LINGER_S", 0.0)


def attribute(sdp: str, name: str) -> str:
    """The value of the first line of this name."""
    return sdp.split(f"a={name}:")[1].split("\r\n")[0]


async def proven(telemetry: CountingTelemetry, *, count: int = 1) -> None:
    """Wait until our side has changed over, which is a moment after the client's."""
    await eventually(lambda: telemetry.total("ice_restarts_total", result="success") == count)


def impatient_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice within moments that a path is gone (RFC 7675 allows 30 s)."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.05)


def carried(payload: bytes) -> Callable[[list[RtpPacket]], bool]:
    """Whether somebody has got this."""
    return lambda packets: any(packet.payload == payload for packet in packets)


async def negotiate(session: EmbeddedSession, offer: str) -> str:
    """The client's offer in the middle of a call, and our answer."""
    await session.set_matrix_offer(offer)
    return await session.create_matrix_answer()


@pytest.mark.parametrize("place", [call_out, call_in])
async def test_audio_flows_on_the_old_path_until_the_new_one_is_proven_and_then_on_that(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
    place: Place,
) -> None:
    browser = new_browser()
    session = await place(engine, browser, phone)
    await events.count(1)
    restart = new_restart(browser)
    before = browser.connection.remoteDescription.sdp
    answer = await negotiate(session, await restart.offer())
    assert attribute(answer, "ice-ufrag") != attribute(before, "ice-ufrag")
    assert attribute(answer, "fingerprint") == attribute(before, "fingerprint")
    phone.send(BEFORE)
    await browser.received.until(carried(BEFORE))
    await browser.send(BEFORE, 0, step=160)
    await phone.received.until(carried(BEFORE))
    assert not restart.was_checked, "libwebrtc never looks at a path again whose check overtook the answer"
    await restart.take_answer(answer)
    await proven(telemetry)
    phone.send(AFTER)
    await restart.received.until(carried(AFTER))
    await restart.send(AFTER, 0, step=160)
    await phone.received.until(carried(AFTER))
    assert not carried(AFTER)(browser.received.items)
    assert len({packet.ssrc for packet in phone.received.items}) == 1
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_client_whose_old_network_is_gone_is_heard_again_on_the_new_one(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Consent on the old path runs out while the new one is checked: that is not the end of the call."""
    impatient_consent(monkeypatch)
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    restart = new_restart(browser)
    answer = await negotiate(session, await restart.offer())
    cut(browser)
    leg = session._media._client.leg
    assert leg is not None
    old = leg._route.current.agent
    await eventually(lambda: old.is_closed)
    await restart.take_answer(answer)
    await proven(telemetry)
    await restart.send(AFTER, 0, step=160)
    await phone.received.until(carried(AFTER))
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_candidates_that_come_after_the_offer_are_for_the_new_path(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
) -> None:
    browser = new_browser()
    session = await call_in(engine, browser, phone)
    await events.count(1)
    restart = new_restart(browser)
    await session.set_matrix_offer(await restart.offer(with_candidates=False))
    trickled = [IceCandidate(candidate=line, sdp_mid="0", sdp_m_line_index=0) for line in restart.candidates]
    await session.add_matrix_candidates(trickled)
    await restart.take_answer(await session.create_matrix_answer())
    await proven(telemetry)
    phone.send(AFTER)
    await restart.received.until(carried(AFTER))


async def test_a_restart_that_leads_nowhere_leaves_the_call_where_it_was(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
) -> None:
    impatient = replace(settings, connect_timeout_s=1.0)
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    await negotiate(session, await new_restart(browser).offer())
    await eventually(lambda: telemetry.total("ice_restarts_total", result="failed") == 1)
    phone.send(AFTER)
    await browser.received.until(carried(AFTER))
    again = new_restart(browser)
    await again.take_answer(await negotiate(session, await again.offer()))
    await proven(telemetry)
    phone.send(BEFORE)
    await again.received.until(carried(BEFORE))
    assert events.items == [MediaConnected(call_id=CALL)]
    await engine.stop()


async def test_a_client_that_restarts_again_before_the_first_try_is_through_gets_the_second(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    given_up, restart = new_restart(browser), new_restart(browser)
    await negotiate(session, await given_up.offer())
    await restart.take_answer(await negotiate(session, await restart.offer()))
    await proven(telemetry)
    phone.send(AFTER)
    await restart.received.until(carried(AFTER))


async def test_a_client_that_holds_while_its_path_changes_keeps_the_new_credentials(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    restart = new_restart(browser)
    offer = await restart.offer()
    first = await negotiate(session, offer)
    held = await negotiate(session, offer.replace("a=sendrecv", "a=sendonly"))
    assert attribute(held, "ice-ufrag") == attribute(first, "ice-ufrag")
    await restart.take_answer(first)
    await proven(telemetry)
    await negotiate(session, offer)
    phone.send(AFTER)
    await restart.received.until(carried(AFTER))


async def test_both_networks_gone_is_the_end_of_the_call(
    settings: MediaSettings,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient = replace(settings, connect_timeout_s=1.0)
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    impatient_consent(monkeypatch)
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    await negotiate(session, await new_restart(browser).offer())
    cut(browser)
    await events.count(2)
    assert events.items[1] == MediaEnded(call_id=CALL, failure=MediaFailure.ICE_TIMEOUT)
    await engine.stop()


async def test_every_port_of_every_path_is_given_back(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    new_restart: NewRestart,
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    for count in (1, 2):
        restart = new_restart(browser)
        await restart.take_answer(await negotiate(session, await restart.offer()))
        await proven(telemetry, count=count)
    await negotiate(session, await new_restart(browser).offer())
    await session.close()
    assert telemetry.gauges["media_ports_in_use"] == 0
