"""Clients that leave a phone to somebody else (MSC2747)."""

import pytest

from bridge.core.ids import RoomId, UserId
from bridge.sip.events import CallAnswered, CallConfirmed, CallEnded, IncomingCall
from tests.clients.client import CallState, Client
from tests.clients.house import SERVER_NAME, House
from tests.clients.kinds import ElementAndroid, ElementWeb, JsSdk, Version0
from tests.clients.test_calling import talk
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER_NUMBER = "+15550111"
OTHER_GHOST = UserId(f"@_sip_{OTHER_NUMBER}:{SERVER_NAME}")


async def other_answers(phone: Phone) -> IncomingCall:
    """The bridge calls another phone, which answers."""
    other = await phone.wait(IncomingCall, count=2)
    phone.endpoint.accept(other.dialog, sdp(40_002))
    await phone.wait_until(lambda: any(event.dialog == other.dialog for event in phone.of(CallConfirmed)))
    return other


@pytest.mark.parametrize("kind", [JsSdk, ElementWeb, ElementAndroid, Version0])
async def test_another_number_is_called_and_the_two_end_together(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, first = await talk(client, person, phone)
        await client.transfer(placed, OTHER_GHOST)
        other = await other_answers(phone)
        assert (other.called, other.caller) == (OTHER_NUMBER, person.number)
        phone.endpoint.bye(other.dialog)
        assert (await phone.wait(CallEnded)).dialog == first
    await house.told(person, "answer", "candidates", "hangup")


async def test_a_phone_that_has_called_can_be_left_as_well(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.accept(ringing)
        await client.until(lambda: ringing.selected)
        await phone.wait(CallAnswered)
        await client.transfer(ringing, OTHER_GHOST)
        other = await phone.wait(IncomingCall)
        phone.endpoint.accept(other.dialog, sdp(40_002))
        await phone.wait(CallConfirmed)
        phone.endpoint.bye(other.dialog)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer", "hangup")


@pytest.mark.parametrize("awaited_first", [True, False])
async def test_two_phones_are_connected_and_nobody_is_called_again(
    house: House, phone: Phone, awaited_first: bool
) -> None:
    """matrix-js-sdk says the one word in the one room and the other in the other: either may come first."""
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed, first = await talk(client, person, phone)
        other_room = RoomId(await house.homeserver.create_dm(person.user_id, OTHER_GHOST))
        consultation = await client.place_call(other_room, OTHER_GHOST)
        other = await phone.wait(IncomingCall, count=2)
        phone.endpoint.accept(other.dialog, sdp(40_002))
        await client.until_state(consultation, CallState.CONNECTING)
        words = [(consultation, "await_call"), (placed, "create_call")]
        for call, to in words if awaited_first else reversed(words):
            await client.transfer(call, OTHER_GHOST, to=to, new_call_id="new")
            await house.homeserver.wait_idle()
        await house.homeserver.wait_until(lambda: house.said(person)[-1]["type"] == "m.call.hangup")
        phone.endpoint.bye(first)
        assert (await phone.wait(CallEnded)).dialog == other.dialog
        assert len(phone.of(IncomingCall)) == 2
    await house.told(person, "answer", "candidates", "hangup")


async def test_a_matrix_user_is_called_by_number(house: House, phone: Phone) -> None:
    """As the telephone network reaches them: it, or the PBX, makes their devices ring."""
    person, colleague = await house.person(), house.newcomer()
    async with house.client(JsSdk, person) as client:
        placed, first = await talk(client, person, phone)
        await client.transfer(placed, colleague.user_id)
        assert (await other_answers(phone)).called == colleague.number
        phone.endpoint.bye(first)
        await phone.wait(CallEnded)


async def test_a_phone_is_not_left_to_somebody_without_a_number(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed, first = await talk(client, person, phone)
        await client.transfer(placed, UserId("@nobody:elsewhere.example"))
        assert (await phone.wait(CallEnded)).dialog == first
    await house.told(person, "answer", "candidates", "reject_replacement", "hangup", "m.room.message")
