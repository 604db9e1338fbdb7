"""A client and the phone call each other at the same moment: one call is left, and the two talk in it."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallAnswered, CallEnded, IncomingCall
from tests.clients.client import CallState, Client
from tests.clients.house import GHOST, House
from tests.clients.kinds import ALL
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

each_client = pytest.mark.parametrize("kind", ALL)


async def end(phone: Phone, dialog: DialogKey, client: Client) -> None:
    """Hang up; no call of the client may be left."""
    phone.endpoint.bye(dialog)
    await client.until(lambda: all(call.state is CallState.ENDED for call in client.calls.values()))


@each_client
async def test_a_client_that_calls_while_it_rings_gets_its_own_call_answered_by_the_phone(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    """Our invite is out; theirs, whose id always sorts first, survives."""
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, dialog = await ring(client, person, phone)
        placed = await client.place_call(person.room_id, GHOST)
        await client.until_state(placed, CallState.CONNECTING)
        await phone.wait(CallAnswered)
        await client.until_state(ringing, CallState.ENDED)
        assert (ringing.end, phone.of(IncomingCall)) == ("replaced", [])
        await end(phone, dialog, client)
    await house.told(person, "invite", "candidates", "hangup", "answer", "candidates", "hangup")


@each_client
async def test_a_phone_that_calls_back_while_it_is_dialled_leaves_one_call_in_the_end(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    """The client's invite reaches us while the room of the phone's call is still being found."""
    person = await house.person()
    async with house.client(kind, person) as client:
        dialog = phone.call(person.number, "+15550100")
        placed = await client.place_call(person.room_id, GHOST)
        await client.until_state(placed, CallState.CONNECTING)
        await phone.wait(CallAnswered)
        await end(phone, dialog, client)
        assert len(phone.of(CallEnded)) <= 1
