"""Calls in 7 kHz: what browser and phone both speak passes through untouched."""

import asyncio

import pytest

from tests.e2e.lab import BROWSER_TONES, WIDEBAND, Lab
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def check_record(lab: Lab, codec: str) -> None:
    """The call's record has the codec on both sides, and that nothing was decoded in between."""
    said: list[tuple[object, ...]] = []

    async def written() -> bool:
        said[:] = [(one["matrix"]["codec"], one["sip"]["codec"], one["transcoded"]) for one in lab.bridge.records()]
        return said[-1:] == [(codec, codec, False)]

    await until(written, lambda: f"the records say {said}", limit_s=PATIENCE_S)


async def test_a_user_calls_a_phone_in_g722(lab: Lab) -> None:
    async with lab.wideband_phone("G722/16000/1,PCMA/8000/1") as phone, lab.device(await lab.person()) as device:
        await device.dial(WIDEBAND)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        assert await device.codecs() == {"inbound-rtp": "audio/G722", "outbound-rtp": "audio/G722"}
        await device.hang_up()
        await phone.wait_closed()
    await check_record(lab, "G722")


async def test_a_phone_calls_a_user_in_opus(lab: Lab) -> None:
    person = await lab.person()
    async with lab.wideband_phone("opus/48000/2,PCMA/8000/1") as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
        assert at_browser.is_like(PHONE_TONE), at_browser
        assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
        assert await device.codecs() == {"inbound-rtp": "audio/opus", "outbound-rtp": "audio/opus"}
        await device.press("7")
        assert await phone.wait_digits("7") == "7"
        await phone.hangup()
        await device.wait_ended()
    await check_record(lab, "OPUS")
