"""Hold and resume by the user's client: what the phone is offered, and what flows."""

import pytest

from bridge.core.clock import SystemClock
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaEvent
from tests.media.browser import Browser
from tests.media.phone import Phone, tone_frames
from tests.media.placing import call_in, call_out
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])


async def negotiate(session: EmbeddedSession, browser: Browser, flow: str) -> str:
    """The client offers another direction; its other side's answer."""
    offer = browser.connection.localDescription.sdp
    for known in ("sendrecv", "sendonly", "recvonly", "inactive"):
        offer = offer.replace(f"a={known}", f"a={flow}")
    await session.set_matrix_offer(offer)
    return await session.create_matrix_answer()


@pytest.mark.parametrize("flow", ["sendonly", "recvonly", "inactive"])
async def test_hold_by_the_client_is_offered_to_the_phone_and_taken_back(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser, flow: str
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    assert await session.create_sip_reoffer() is None
    mirrored = {"sendonly": "recvonly", "recvonly": "sendonly"}.get(flow, flow)
    assert f"a={mirrored}" in await negotiate(session, browser, flow)
    assert f"a={flow}" in (await session.create_sip_reoffer() or "")
    assert await session.create_sip_reoffer() is None
    await session.set_sip_answer(phone.sdp(flow=mirrored, version=2))
    await negotiate(session, browser, "sendrecv")
    assert "a=sendrecv" in (await session.create_sip_reoffer() or "")
    await session.set_sip_answer(phone.sdp(version=3))
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(packet.payload == SPEECH for packet in packets))


async def test_resume_is_offered_although_the_answer_to_hold_has_not_come(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)
    await negotiate(session, browser, "inactive")
    assert await session.create_sip_reoffer() is not None
    await negotiate(session, browser, "sendrecv")
    assert "a=sendrecv" in (await session.create_sip_reoffer() or "")


async def test_a_phone_that_refreshes_the_session_while_it_is_held_stays_held(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_in(engine, browser, phone)
    await events.count(1)
    await negotiate(session, browser, "inactive")
    await session.set_sip_offer(phone.sdp(version=2))
    assert "a=inactive" in await session.create_sip_answer()
    assert await session.create_sip_reoffer() is None


async def test_hold_from_both_sides_is_undone_by_each_for_itself(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_in(engine, browser, phone)
    await events.count(1)
    await session.set_sip_offer(phone.sdp(flow="sendonly", version=2))
    assert "a=recvonly" in await session.create_sip_answer()
    assert "a=sendrecv" not in await negotiate(session, browser, "sendonly")
    assert "a=sendonly" in (await session.create_sip_reoffer() or "")
    await session.set_sip_answer(phone.sdp(flow="inactive", version=3))
    assert "a=sendrecv" in await negotiate(session, browser, "sendrecv")
    await session.create_sip_reoffer()
    await session.set_sip_answer(phone.sdp(flow="sendonly", version=4))
    phone.received.clear()
    await browser.send(SPEECH, 0, step=160)
    await session.set_sip_offer(phone.sdp(version=5))
    assert "a=sendrecv" in await session.create_sip_answer()
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(packet.payload == SPEECH for packet in packets))


async def test_a_phone_may_be_silent_while_the_client_holds_even_if_it_answers_as_if_it_were_not(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, phone)
    await events.count(1)

    async def a_minute_later() -> None:
        session._media.look_after(SystemClock().monotonic() + 60)

    await negotiate(session, browser, "sendonly")
    await session.create_sip_reoffer()
    await session.set_sip_answer(phone.sdp(version=2))
    await session._thread.call(a_minute_later())
    assert len(events.items) == 1
    await negotiate(session, browser, "sendrecv")
    await session.create_sip_reoffer()
    await session.set_sip_answer(phone.sdp(version=3))
    await session._thread.call(a_minute_later())
    await events.count(2)
