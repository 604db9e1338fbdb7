"""Text messages between a room and a phone behind a PBX: MESSAGE through Kamailio, which asks for a password."""

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import EXTENSION, Lab

pytestmark = pytest.mark.asyncio(loop_scope="session")

_HAS = """([userId, body]) => device.roomsWith(userId).some((roomId) => device.client.getRoom(roomId)?.timeline.some(
  (event) => event.getType() === 'm.room.message' && event.getContent().body === body
))"""


async def write(device: Device, room_id: str, body: str) -> None:
    await device.look("([roomId, body]) => device.client.sendTextMessage(roomId, body)", [room_id, body])


async def test_a_text_goes_to_a_phone_and_its_answer_comes_into_a_room_with_it(lab: Lab) -> None:
    """Where the user has several rooms with a phone, what it says comes into the first of them, as its calls do."""
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    person = await lab.person_behind_pbx()
    async with lab.extension(writes_to=person.number) as phone, lab.device(person) as device:
        ghost = await device.ghost_of(EXTENSION)
        room_id = await device.room_with(ghost)
        await write(device, room_id, "Are you there? Grüße")
        await phone.wait_until(lambda: phone.texts() == ["Are you there? Grüße"])
        await phone.write("Yes, at the desk ✓")
        await device.wait_for(_HAS, [ghost, "Yes, at the desk ✓"])


async def test_the_room_says_so_when_a_text_finds_nobody(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with lab.device(await lab.person()) as device:
        room_id = await device.room_with(await device.ghost_of(EXTENSION))
        await write(device, room_id, "Is anybody there?")
        assert "does not exist, or takes no text messages" in await device.wait_notice(room_id)
