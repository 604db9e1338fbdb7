"""A trunk that registers: Kamailio as the PBX, digest for REGISTER and INVITE, a phone behind it."""

import asyncio

import pytest

from tests.e2e.lab import BROWSER_TONES, EXTENSION, Lab
from tests.e2e.phone import TONE as PHONE_TONE

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_user_calls_a_phone_behind_the_pbx(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with lab.extension() as phone, lab.device(await lab.person()) as device:
        await device.dial(EXTENSION)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        await device.hang_up()
        await phone.wait_closed()


async def test_a_phone_behind_the_pbx_calls_the_number_that_the_bridge_registered(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    person = await lab.person_behind_pbx()
    async with lab.extension() as phone, lab.device(person) as device:
        await phone.dial(f"sip:{person.number}@{lab.pbx.domain}")
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        await phone.hangup()
        await device.wait_ended()
