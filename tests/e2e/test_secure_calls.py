"""A phone that speaks TLS and SRTP only: nothing of a call passes the network in the clear."""

import asyncio

import pytest

from tests.e2e.lab import BROWSER_TONES, SECURE, Lab
from tests.e2e.phone import TONE as PHONE_TONE

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_user_calls_a_phone_that_encrypts_everything(lab: Lab) -> None:
    async with lab.secure_phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(SECURE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        await device.hang_up()
        await phone.wait_closed()
    assert await lab.bridge.metric("sip_tls_failures_total") == 0


async def test_a_phone_that_encrypts_everything_calls_a_user(lab: Lab) -> None:
    person = await lab.person()
    async with lab.secure_phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        await phone.hangup()
        await device.wait_ended()
