"""The rooms in which phones and users call each other: which one it is, and what is said where no call can be made."""

import asyncio
from typing import Any

import pytest

from tests.e2e.chromium import Device, Person
from tests.e2e.lab import PHONE, SERVER_NAME, Lab
from tests.e2e.phone import Phone
from tests.e2e.test_calls import hear_each_other

pytestmark = pytest.mark.asyncio(loop_scope="session")

GHOST = f"@_sip_{PHONE}:{SERVER_NAME}"
MEGOLM = {"algorithm": "m.megolm.v1.aes-sha2"}
GROUP_CALL_MEMBER = "org.matrix.msc3401.call.member"


async def send_state(device: Device, room_id: str, event_type: str, content: dict[str, Any]) -> None:
    """Set a state of a room that no button of a client offers."""
    send = "([roomId, type, content]) => device.client.sendStateEvent(roomId, type, content, device.client.getUserId())"
    if event_type == "m.room.encryption":
        send = "([roomId, type, content]) => device.client.sendStateEvent(roomId, type, content, '')"
    await device.look(send, [room_id, event_type, content])


async def notices(device: Device, room_id: str) -> list[str]:
    """Everything that others have written in a room."""
    written: list[str] = await device.look("(roomId) => device.notices(roomId)", room_id)
    return written


async def rung_by(lab: Lab, phone: Phone, person: Person, device: Device) -> str:
    """The phone calls and hangs up once it has rung; gives the room in which it rang."""
    calls = len(await device.calls())
    await lab.call_from(phone, person)
    await device.wait_for("(count) => device.calls.length > count", calls)
    call = await device.wait_ringing()
    await phone.hangup()
    await device.wait_ended()
    room_id: str = call["roomId"]
    return room_id


async def members(device: Device, room_id: str) -> set[str]:
    """Who is in a room."""
    return set(await device.look("(roomId) => device.members(roomId)", room_id))


async def test_an_encrypted_room_gets_one_notice_and_a_plain_room_beside_it(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        encrypted = await device.room_with(GHOST)
        await device.wait_member(encrypted, GHOST)
        await send_state(device, encrypted, "m.room.encryption", MEGOLM)
        assert "call from there" in await device.wait_notice(encrypted)
        await device.wait_for("(userId) => device.roomsWith(userId).length === 2", GHOST)
        rooms: list[str] = await device.look("(userId) => device.roomsWith(userId)", GHOST)
        (plain,) = {*rooms} - {encrypted}
        await device.place(plain)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await device.hang_up()
        await phone.wait_closed()
        assert await rung_by(lab, phone, person, device) == plain
        assert len(await notices(device, encrypted)) == 1


async def test_element_call_is_kept_out_of_the_phones_rooms_and_explained_in_the_users(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        portal = await rung_by(lab, phone, person, device)
        assert not await may_join_group_calls(device, portal)
        own = await device.room_with(GHOST)
        await device.wait_member(own, GHOST)
        assert await may_join_group_calls(device, own)
        for _ in range(2):
            await send_state(device, own, GROUP_CALL_MEMBER, {"application": "m.call", "call_id": ""})
        assert "Legacy Call" in await device.wait_notice(own)
        # A call that comes through shows that what was before it has been looked at.
        await device.place(own)
        await device.wait_connected()
        assert len(await notices(device, own)) == 1


async def may_join_group_calls(device: Device, room_id: str) -> bool:
    """What Element asks before it offers Element Call in a room."""
    look = "([roomId, type]) => device.client.getRoom(roomId).currentState.mayClientSendStateEvent(type, device.client)"
    return bool(await device.look(look, [room_id, GROUP_CALL_MEMBER]))


def has_left(lab: Lab, room_id: str) -> bool:
    """Whether the ghost has followed the user out of a room."""
    return any("ghost_left_room" in line and room_id in line for line in lab.bridge.log_tail().splitlines())


async def test_a_phone_finds_its_room_again_and_makes_another_when_the_user_has_left(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        first = await rung_by(lab, phone, person, device)
        assert await members(device, first) == {person.user_id, GHOST}
        await lab.bridge.restart()
        assert await rung_by(lab, phone, person, device) == first
        await device.look("(roomId) => device.client.leave(roomId)", first)
        await lab.bridge.wait_until(lambda: has_left(lab, first))
        second = await rung_by(lab, phone, person, device)
        assert second != first
        assert await members(device, second) == {person.user_id, GHOST}


async def test_a_phone_follows_the_user_into_the_room_that_takes_the_place_of_theirs(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        old = await device.room_with(GHOST)
        await device.wait_member(old, GHOST)
        assert await rung_by(lab, phone, person, device) == old
        upgraded = await device.look("(roomId) => device.client.upgradeRoom(roomId, '11')", old)
        new: str = upgraded["replacement_room"]
        # The client invites everybody who was in the old room.
        await device.look("([roomId, userId]) => device.client.invite(roomId, userId)", [new, GHOST])
        await device.wait_member(new, GHOST)
        assert await rung_by(lab, phone, person, device) == new
        await device.place(new)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        assert await members(device, new) == {person.user_id, GHOST}
