"""A homeserver that is started again in the middle of calls: they go on, and what ends them meanwhile is told later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import EXTENSION, PHONE, Lab
from tests.e2e.test_calls import hear_each_other
from tests.e2e.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SOON_S = 20.0
"""Within which the homeserver has the hangup after its return: what waits is sent long before by a quiet machine."""


@asynccontextmanager
async def away(lab: Lab) -> AsyncIterator[None]:
    """For as long as this lasts there is no homeserver, and it has answered all that it was sent before.

    Of a request whose answer is cut off nobody can tell whether its event was stored: Synapse keeps an application
    service's transaction ids in memory, so the event may come twice.
    """
    await lab.bridge.wait_metric("matrix_outbox_depth", 0)
    await lab.homeserver.stop()
    try:
        yield
    finally:
        await lab.homeserver.start()


async def history(device: Device, room_id: str) -> list[tuple[str, str]]:
    """Who sent which call events in a room, asked for anew: a client that has lost its homeserver tries again later."""
    look = "(roomId) => device.client.createMessagesRequest(roomId, null, 50, 'b')"
    page = await device.look(look, room_id)
    events = [event for event in reversed(page["chunk"]) if event["type"].startswith("m.call.")]
    return [("user" if event["sender"] == device.person.user_id else "phone", event["type"]) for event in events]


async def told_once(device: Device, room_id: str) -> None:
    """The phone's side has ended the call in the room, soon after the homeserver's return, and said nothing twice."""

    async def told() -> bool:
        return (await history(device, room_id))[-1] == ("phone", "m.call.hangup")

    await until(told, lambda: "the hangup has not come", limit_s=_SOON_S)
    by_phone = [kind for who, kind in await history(device, room_id) if who == "phone"]
    assert sorted(by_phone) == ["m.call.answer", "m.call.candidates", "m.call.hangup"]


async def test_calls_outlive_the_homeserver_and_their_end_is_told_when_it_is_back(lab: Lab) -> None:
    """A phone hangs up meanwhile, and a browser, whose SDK tries only once to tell so: that phone is let go as well."""
    async with (
        lab.phone() as phone,
        lab.extension() as extension,
        lab.device(await lab.person()) as device,
        lab.device(await lab.person()) as leaving,
    ):
        await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
        room_id, other_room_id = await device.dial(PHONE), await leaving.dial(EXTENSION)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await asyncio.gather(leaving.wait_connected(), extension.wait_answered())
        async with away(lab):
            await hear_each_other(device, phone)
            await leaving.hang_up()
            await phone.hangup()
        await told_once(device, room_id)
        await device.look("() => device.client.retryImmediately()")
        await device.wait_ended()
        await extension.wait_closed()
        await told_once(leaving, other_room_id)
