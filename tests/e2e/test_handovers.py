"""Transfers by the client: two telephones hear each other after matrix-js-sdk has left them."""

import asyncio

import pytest

from tests.e2e.chromium import Device
from tests.e2e.handset import Handset
from tests.e2e.lab import BROWSER_TONES, COLLEAGUE, EXTENSION, PHONE, Lab
from tests.e2e.phone import OTHER_TONE, Phone
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.sound import Heard, Tone
from tests.e2e.test_calls import hear_each_other
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def comes_to_hear(phone: Phone, tone: Tone) -> None:
    """The phone has heard something else before."""
    heard: list[Heard] = []

    async def like() -> bool:
        heard.append(await phone.listen())
        return heard[-1].is_like(tone)

    await until(like, lambda: f"{phone.name} heard {heard[-1:]}, not {tone}", limit_s=PATIENCE_S)


async def talk(device: Device, phone: Phone, number: str) -> str:
    """The user and the phone hear each other."""
    room_id = await device.dial(number)
    await asyncio.gather(device.wait_connected(), phone.wait_answered())
    await hear_each_other(device, phone)
    return room_id


async def left_alone(first: Phone, other: Phone) -> None:
    """The two phones hear each other."""
    await asyncio.gather(comes_to_hear(first, OTHER_TONE), comes_to_hear(other, PHONE_TONE))


async def test_a_client_leaves_a_phone_to_one_of_another_trunk(lab: Lab) -> None:
    """No trunk could connect the two: the bridge calls the other phone and carries the audio between them."""
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with (
        lab.phone() as phone,
        lab.extension(tone=OTHER_TONE) as other,
        lab.device(await lab.person()) as device,
    ):
        room_id = await talk(device, phone, PHONE)
        await Handset(device).transfer(await device.ghost_of(EXTENSION))
        assert (await device.wait_ended())["hangupReason"] == "transferred"
        await other.wait_answered()
        await left_alone(phone, other)
        assert [event["type"] for event in await device.call_events(room_id)][-1] == "m.call.hangup"
        await phone.hangup()
        await other.wait_closed()
        await lab.bridge.wait_metric("calls_active", 0, direction="outbound")


async def test_a_client_leaves_a_phone_to_another_one_of_its_pbx(lab: Lab) -> None:
    """The PBX takes REFER: the bridge has no part in what follows."""
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with (
        lab.extension() as phone,
        lab.extension(number=COLLEAGUE, tone=OTHER_TONE) as colleague,
        lab.device(await lab.person()) as device,
    ):
        await talk(device, phone, EXTENSION)
        await Handset(device).transfer(await device.ghost_of(COLLEAGUE))
        await colleague.wait_answered()
        await lab.bridge.wait_metric("calls_active", 0, direction="outbound")
        await left_alone(phone, colleague)
        await colleague.hangup()
        await phone.wait_closed(count=2)


async def consult(device: Device, colleague: Phone) -> None:
    """Hold the call that is up, as Element does by itself, and talk with the other phone."""
    await Handset(device).hold()
    await device.dial(COLLEAGUE)
    await asyncio.gather(device.wait_connected(), colleague.wait_answered())


async def test_a_client_connects_two_phones_of_different_trunks_that_it_has_spoken_with(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with (
        lab.desk_phone() as phone,
        lab.extension(number=COLLEAGUE, tone=OTHER_TONE) as colleague,
        lab.device(await lab.person()) as device,
    ):
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_called())
        await consult(device, colleague)
        await phone.wait_offered("sendonly")
        await device.connect_both()
        assert {call["hangupReason"] for call in await device.calls()} == {"transferred"}
        await asyncio.gather(phone.hears(OTHER_TONE), comes_to_hear(colleague, PHONE_TONE))
        await phone.wait_offered("sendonly", "sendrecv")
        await colleague.hangup()
        await phone.wait_ended()


async def test_a_client_connects_two_phones_of_one_pbx_that_it_has_spoken_with(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with (
        lab.extension() as phone,
        lab.extension(number=COLLEAGUE, tone=OTHER_TONE) as colleague,
        lab.device(await lab.person()) as device,
    ):
        await talk(device, phone, EXTENSION)
        await consult(device, colleague)
        await device.connect_both()
        await left_alone(phone, colleague)
        await colleague.hangup()
        await phone.wait_closed()
        await lab.bridge.wait_metric("calls_active", 0, direction="outbound")


async def test_a_client_leaves_a_phone_to_a_matrix_user_behind_the_same_pbx(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    colleague = await lab.person_behind_pbx()
    async with (
        lab.extension() as phone,
        lab.device(await lab.person()) as device,
        lab.device(colleague, browser="second") as other,
    ):
        await talk(device, phone, EXTENSION)
        await Handset(device).transfer(colleague.user_id)
        await other.wait_ringing()
        await other.answer()
        await other.wait_connected()
        await comes_to_hear(phone, BROWSER_TONES["second"])
        at_other = await other.listen()
        assert at_other.is_like(PHONE_TONE), at_other
        await other.hang_up()
        await phone.wait_closed(count=2)


async def test_a_phone_that_is_left_to_a_number_that_is_busy_is_hung_up_on_and_the_user_reads_why(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        room_id = await talk(device, phone, PHONE)
        await Handset(device).transfer(await device.ghost_of(EXTENSION))  # which nobody has registered now
        await phone.wait_closed()
        assert "could not be transferred" in await device.wait_notice(room_id)
