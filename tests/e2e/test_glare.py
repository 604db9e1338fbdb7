"""Crossing calls: user and phone call each other at the same moment, one call survives and both hear each other."""

import asyncio

import pytest

from tests.e2e.chromium import Device, Person
from tests.e2e.lab import BROWSER_TONES, PHONE, Lab
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

SORTS_LAST = "~~~crossing"
"""A call id that is greater than the bridge's, so that by the specification the bridge's call survives."""
HEARD_S = 6.0
"""Within which both must have heard each other: soon, for a busy machine too."""


async def meet_once(lab: Lab, phone: Phone, person: Person, device: Device) -> str:
    """The phone has called before, so that there is a room in which both can call; gives the room."""
    await lab.call_from(phone, person)
    call = await device.wait_ringing()
    await phone.hangup()
    await device.wait_ended()
    room_id: str = call["roomId"]
    return room_id


async def cross(lab: Lab, phone: Phone, person: Person, device: Device, **options: str) -> None:
    """The phone calls the device, and the device calls the phone before it hears of it."""
    room_id = await meet_once(lab, phone, person, device)
    async with device.deaf():
        await lab.call_from(phone, person)
        await phone.wait_event("CALL_RINGING", count=2)
        await device.place(room_id, **options)
        await device.wait_state("invite_sent")


async def hear_each_other_at_once(device: Device, phone: Phone) -> None:
    """Exactly one call is left, and its audio is there with it."""
    await asyncio.gather(device.wait_survivor(), phone.wait_answered())
    at_browser, at_phone = await asyncio.gather(device.listen(limit_s=HEARD_S), phone.listen(limit_s=HEARD_S))
    assert at_browser.is_like(PHONE_TONE), at_browser
    assert at_phone.is_like(BROWSER_TONES["first"]), at_phone
    assert len(phone.events("CALL_ESTABLISHED")) == 1


async def exactly_one_call_is_heard(device: Device, phone: Phone) -> None:
    """So that nothing is left of the other when it ends."""
    await hear_each_other_at_once(device, phone)
    await device.hang_up()
    await phone.wait_closed(count=2)


async def test_the_users_call_survives_when_its_id_sorts_first(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await cross(lab, phone, person, device)
        await exactly_one_call_is_heard(device, phone)


async def test_the_phones_call_survives_when_the_users_id_sorts_last(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        ghost = await device.ghost_of(PHONE)
        await cross(lab, phone, person, device, callId=SORTS_LAST, invitee=ghost)
        await exactly_one_call_is_heard(device, phone)


async def test_a_client_that_settles_nothing_is_connected_all_the_same(lab: Lab) -> None:
    """Element Web names no invitee, so its SDK does not notice that calls cross and lets both ring."""
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await cross(lab, phone, person, device, callId=SORTS_LAST)
        await exactly_one_call_is_heard(device, phone)


async def test_a_user_who_has_not_joined_the_phones_room_calls_it_from_another(lab: Lab) -> None:
    """They type the number that they see in the invitation: the phone is waiting for nobody else."""
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person, joins=False) as device:
        await lab.call_from(phone, person)
        invited = await device.wait_invited()
        room_id = await device.dial(PHONE)
        await hear_each_other_at_once(device, phone)
        await device.join(invited)
        await device.wait_member(invited, await device.ghost_of(PHONE))
        assert await device.call_events(invited) == []
        assert {call["roomId"] for call in await device.calls()} == {room_id}
        await device.hang_up()
        await phone.wait_closed()


async def test_a_phone_that_rings_calls_the_user_who_rings_it(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone(answer="manual") as phone, lab.device(person) as device:
        await device.dial(PHONE)
        await phone.wait_ringing()
        await lab.call_from(phone, person)
        await exactly_one_call_is_heard(device, phone)
