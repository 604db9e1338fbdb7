"""Whole calls, placed from either side: the same steps with every engine."""

from typing import Protocol, TypeVar

from bridge.core.ids import CallId
from bridge.media.engine import MediaSession
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from tests.media.browser import Browser
from tests.media.phone import Phone

CALL = CallId("call-1")
Session = TypeVar("Session", bound=MediaSession, covariant=True)


class Engine(Protocol[Session]):
    """What makes sessions."""

    async def open(self, call_id: CallId, policy: SipMediaPolicy = DEFAULT_POLICY) -> Session: ...


async def call_out(
    engine: Engine[Session], browser: Browser, phone: Phone, policy: SipMediaPolicy = DEFAULT_POLICY
) -> Session:
    """Matrix calls a phone."""
    session = await engine.open(CALL, policy)
    await session.set_matrix_offer(await browser.offer())
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await browser.connected()
    return session


async def call_in(engine: Engine[Session], browser: Browser, phone: Phone) -> Session:
    """A phone calls Matrix."""
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    phone.aim(await session.create_sip_answer())
    await browser.connected()
    return session
