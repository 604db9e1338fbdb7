"""The dial pad: what a client asks the homeserver, what it shows, and the call that follows at once."""

import asyncio
from typing import Any

import pytest

from tests.e2e.chromium import Device, Person
from tests.e2e.lab import EXTENSION, PHONE, SERVER_NAME, Lab
from tests.e2e.test_calls import hear_each_other

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE_AS_TYPED = (PHONE, "+1 (555) 0100", "tel:+1-555-0100", "555-0100", "011 1 555 0100", "+1.555.0100")
GHOST = f"@_sip_{PHONE}:{SERVER_NAME}"
GHOST_NAME = "+1 5550100"
TELEPHONE = ("m.protocol.pstn", "im.vector.protocol.pstn")
"""Element Web looks for the first, Element for iOS for the second alone."""
VIRTUAL, NATIVE = "im.vector.protocol.sip_virtual", "im.vector.protocol.sip_native"


async def look_up(device: Device, protocol: str, **fields: str) -> list[dict[str, Any]]:
    """What the homeserver says to a client that looks somebody up."""
    found: list[dict[str, Any]] = await device.look(
        "([protocol, fields]) => device.client.getThirdpartyUser(protocol, fields)", [protocol, fields]
    )
    return found


async def protocols(device: Device) -> set[str]:
    """What a client can look up; it shows a dial pad when telephone numbers are among it."""
    return set(await device.look("() => device.client.getThirdpartyProtocols()"))


async def name_in_room(device: Device, room_id: str, user_id: str) -> str:
    """What a client calls somebody in a room."""
    look = "([roomId, userId]) => device.client.getRoom(roomId).getMember(userId)?.name"
    name: str = await device.look(look, [room_id, user_id])
    return name


async def test_a_number_typed_any_way_is_looked_up_and_called_at_once(lab: Lab) -> None:
    async with lab.phone(answer="manual") as phone, lab.device(await lab.person()) as device:
        assert await protocols(device) == set(TELEPHONE)
        for protocol in TELEPHONE:
            for typed in PHONE_AS_TYPED:
                found = await look_up(device, protocol, **{"m.id.phone": typed})
                assert [user["userid"] for user in found] == [GHOST], typed
            assert await look_up(device, protocol, **{"m.id.phone": "call me"}) == []
        # Element asks for the profile of whom it is about to invite, and warns the user when there is none.
        assert await device.look("(userId) => device.client.getProfileInfo(userId)", GHOST) == {
            "displayname": GHOST_NAME
        }
        room_id = await device.dial(PHONE_AS_TYPED[1])
        await phone.wait_ringing()
        assert await name_in_room(device, room_id, GHOST) == GHOST_NAME
        assert (await device.calls())[-1]["state"] == "invite_sent"
        assert await device.look("() => device.directRooms()") == {GHOST: [room_id]}
        await phone.accept()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()


async def test_users_are_not_looked_up_unless_that_is_configured(lab: Lab) -> None:
    """A client that gets an answer calls through the PBX, and two people could not call each other any more."""
    person = await lab.person()
    async with lab.device(person) as device:
        assert await look_up(device, VIRTUAL, native_mxid=person.user_id) == []
        assert await look_up(device, NATIVE, virtual_mxid=ghost_of(person)) == []


async def test_a_user_calls_another_through_the_pbx_as_the_mobile_apps_do(lab: Lab) -> None:
    """The one called has an extension: Element for iOS asks whose ghost to call, and names the person in the call."""
    caller = await lab.person()
    called = f"@colleague:{SERVER_NAME}"
    numbers = {caller.number: caller.user_id, EXTENSION: called}
    async with (
        lab.configured(appservice={"sip_lookups": True}, numbers={"inbound": numbers}),
        lab.extension() as phone,
        lab.device(caller) as device,
    ):
        (virtual,) = await look_up(device, VIRTUAL, native_mxid=called)
        assert virtual["fields"]["lookup_success"]
        (native,) = await look_up(device, NATIVE, virtual_mxid=virtual["userid"])
        assert native["userid"] == called
        assert await look_up(device, VIRTUAL, native_mxid=f"@without-number:{SERVER_NAME}") == []
        assert await look_up(device, NATIVE, virtual_mxid=GHOST) == []
        await device.place(await device.room_with(virtual["userid"]), invitee=called)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()


def ghost_of(person: Person) -> str:
    """The ghost of a user's own number."""
    return f"@_sip_{person.number}:{SERVER_NAME}"
