"""What people set by talking to the bot, and what phones then meet."""

from pathlib import Path

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import PHONE, SCRIPTED, SERVER_NAME, Lab
from tests.peers.process import LOOPBACK
from tests.peers.sipp import SippUac

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOT = f"@_sip_bot:{SERVER_NAME}"
_REDIRECTED = Path(__file__).parents[1] / "peers" / "scenarios" / "redirected_caller.xml"


async def talk(device: Device) -> str:
    """A room with the bot, which has said hello."""
    room_id = await device.room_with(BOT)
    assert "help" in await device.wait_notice(room_id)
    return room_id


async def test_a_user_who_is_not_to_be_disturbed_is_busy_and_sees_who_called(lab: Lab) -> None:
    person = await lab.person()
    async with lab.device(person) as device, lab.phone() as phone:
        room_id = await talk(device)
        assert "busy" in await device.ask(room_id, "dnd on")
        await lab.call_from(phone, person)
        assert (await phone.wait_closed()).startswith("486")
        assert await device.calls() == []
        assert "do not disturb was on" in await device.ask(room_id, "history")
        assert "ring again" in await device.ask(room_id, "dnd off")
        await lab.call_from(phone, person)
        await device.wait_ringing()


async def test_a_forwarded_call_is_sent_back_to_its_trunk(lab: Lab) -> None:
    person = await lab.person()
    folder = lab.folder("redirected")
    async with lab.device(person) as device:
        room_id = await talk(device)
        assert "now go to" in await device.ask(room_id, f"forward {SCRIPTED}")
        target = f"{LOOPBACK}:{lab.bridge.sip_port}"
        caller = SippUac(folder, target, scenario=_REDIRECTED, service=person.number, port=lab.scripted_port)
        assert await caller.run() == 0
        assert "forwarded" in await device.ask(room_id, "history")


async def test_who_has_a_message_box_is_told_where_messages_come(lab: Lab) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    async with lab.device(boxed) as device:
        assert "into the room of the number that called" in await device.ask(await talk(device), "voicemail")
    async with lab.device(person) as device:
        assert "no voicemail" in await device.ask(await talk(device), "voicemail")


async def test_the_bot_makes_a_room_from_which_a_number_can_be_called(lab: Lab) -> None:
    person = await lab.person()
    async with lab.device(person) as device, lab.phone() as phone:
        room_id = await talk(device)
        await device.ask(room_id, f"name {PHONE} Front Desk")
        assert "Front Desk" in await device.ask(room_id, f"call {PHONE}")
        ghost = await device.ghost_of(PHONE)
        portal = await device.wait_room_with(ghost)
        await device.wait_for(
            "([roomId, userId]) => device.client.getRoom(roomId).getMember(userId)?.name === 'Front Desk'",
            [portal, ghost],
        )
        await device.place(portal)
        await phone.wait_answered()
        await device.wait_connected()
