"""The first call from a new number makes a room: it rings when the user has joined it, which others may do for them."""

import asyncio

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import PHONE, PUPPET_TOKEN, Lab
from tests.e2e.running_bridge import Section
from tests.e2e.test_calls import hear_each_other

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE_AS_SHOWN = "+1 5550100"
"""The number as people read it: the ghost's name."""


async def shown_name(device: Device, room_id: str) -> str:
    """What a client calls a room."""
    name: str = await device.look("(roomId) => device.client.getRoom(roomId).name", room_id)
    return name


async def known_devices(device: Device) -> set[str]:
    """The devices of the user, as their settings list them."""
    listed = await device.look("() => device.client.getDevices()")
    return {known["device_id"] for known in listed["devices"]}


async def test_a_user_who_joins_while_the_phone_rings_is_rung_in_the_room(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person, joins=False) as device:
        await lab.call_from(phone, person)
        room_id = await device.wait_invited()
        await phone.wait_event("CALL_RINGING")
        assert PHONE_AS_SHOWN in await shown_name(device, room_id)
        assert await device.calls() == []
        await device.join(room_id)
        assert (await device.wait_ringing())["roomId"] == room_id
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()


@pytest.mark.parametrize("secret", ["puppet_token", "admin_token"])
async def test_a_user_who_is_joined_by_the_bridge_is_rung_at_once(lab: Lab, secret: str) -> None:
    token = PUPPET_TOKEN if secret == "puppet_token" else await lab.administrators_token()
    homeserver: Section = {secret: token}
    person = await lab.person()
    async with (
        lab.configured(homeserver=homeserver),
        lab.phone() as phone,
        lab.device(person, joins=False) as device,
    ):
        devices = await known_devices(device)
        await lab.call_from(phone, person)
        call = await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        # The room is among the user's people, and their list of devices shows no stranger.
        assert await device.look("() => device.directRooms()") == {await device.ghost_of(PHONE): [call["roomId"]]}
        assert await known_devices(device) == devices
        await device.hang_up()
        await phone.wait_closed()
