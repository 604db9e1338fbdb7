"""A Matrix user and a phone call each other, hear each other, and either of them hangs up."""

import asyncio

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import BROWSER_TONES, PHONE, Lab
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")
BROWSER_TONE = BROWSER_TONES["first"]


async def hear_each_other(device: Device, phone: Phone) -> None:
    """Both ends hear the other's tone, at its pitch, neither louder nor softer."""
    at_browser, at_phone = await asyncio.gather(device.listen(), phone.listen())
    assert at_browser.is_like(PHONE_TONE), f"the browser heard {at_browser}, not {PHONE_TONE}"
    assert at_phone.is_like(BROWSER_TONE), f"the phone heard {at_phone}, not {BROWSER_TONE}"


async def test_a_user_calls_a_phone_and_hangs_up(lab: Lab) -> None:
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()


async def test_a_user_calls_a_phone_and_the_phone_hangs_up(lab: Lab) -> None:
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await phone.hangup()
        ended = await device.wait_ended()
        assert (ended["hangupReason"], ended["hangupParty"]) == ("user_hangup", "remote")


async def test_a_phone_calls_a_user_and_hangs_up(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await phone.hangup()
        assert (await device.wait_ended())["hangupReason"] == "user_hangup"


async def test_a_phone_calls_a_user_and_the_user_hangs_up(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()


async def test_a_second_call_from_the_same_phone_rings_in_the_same_room(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        first = await device.wait_ringing()
        await phone.hangup()
        await device.wait_ended()
        await lab.call_from(phone, person)
        second = await device.wait_ringing()
        assert second["callId"] != first["callId"]
        assert second["roomId"] == first["roomId"]


async def test_the_other_law_of_g711_is_spoken_too(lab: Lab) -> None:
    async with lab.phone(codecs="PCMA/8000/1") as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        assert await device.codecs() == {"inbound-rtp": "audio/PCMA", "outbound-rtp": "audio/PCMA"}


async def test_a_caller_who_speaks_opus_only_is_transcoded(lab: Lab) -> None:
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE, codecs=["audio/opus", "audio/telephone-event"])
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        assert await device.codecs() == {"inbound-rtp": "audio/opus", "outbound-rtp": "audio/opus"}


async def test_a_browser_with_an_rsa_certificate_is_heard_too(lab: Lab) -> None:
    """Its DTLS needs other suites than those for the usual certificates."""
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.show_rsa_certificate()
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        assert await device.page.evaluate("rsaCertificatesShown") == 1


async def test_digits_pressed_in_the_browser_arrive_at_the_phone(lab: Lab) -> None:
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await device.listen()
        for pressed in ("1", "15", "15#"):
            # A browser forgets the keys that wait when the next is pressed, so a person's pace is kept.
            await device.press(pressed[-1])
            assert await phone.wait_digits(pressed) == pressed


async def test_digits_of_a_caller_who_speaks_opus_only_arrive_at_the_phone(lab: Lab) -> None:
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE, codecs=["audio/opus", "audio/telephone-event"])
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await device.listen()
        await device.press("7")
        assert await phone.wait_digits("7") == "7"
