"""How each call reads in the room afterwards: exactly one farewell, from whoever ended it."""

import pytest

from bridge.sip.events import CallAnswered, CallCancelled, CallEnded, CallFailed
from tests.clients.client import CallState
from tests.clients.house import House, Person
from tests.clients.kinds import ElementAndroid, ElementWeb
from tests.clients.test_calling import call, talk
from tests.clients.test_ringing import ring
from tests.clients.timeline import tile_of_element_android, tile_of_element_web
from tests.sip.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def tiles(house: House, person: Person) -> tuple[str, str]:
    """Both clients' tiles of the room's only call, once it is over; nobody says good-bye twice."""
    await house.bridge.wait_metric("calls_active", 0)
    await house.homeserver.wait_idle()
    events = [event for event in house.homeserver.events(person.room_id) if event["type"].startswith("m.call.")]
    farewells = [event for event in events if event["type"] in ("m.call.hangup", "m.call.reject")]
    assert len(farewells) == 1, farewells
    return tile_of_element_web(events, person.user_id), tile_of_element_android(events)


@pytest.mark.parametrize("who", ["the user", "the phone"])
async def test_a_call_that_the_user_placed_and_somebody_ended(house: House, phone: Phone, who: str) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        placed, dialog = await talk(client, person, phone)
        if who == "the user":
            await client.hang_up(placed)
            await phone.wait(CallEnded)
        else:
            phone.endpoint.bye(dialog)
            await client.until_state(placed, CallState.ENDED)
    assert await tiles(house, person) == ("Call ended", "ended")


@pytest.mark.parametrize("who", ["the user", "the phone"])
async def test_a_call_that_the_user_took_and_somebody_ended(house: House, phone: Phone, who: str) -> None:
    person = await house.person()
    async with house.client(ElementAndroid, person) as client:
        ringing, dialog = await ring(client, person, phone)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        if who == "the user":
            await client.hang_up(ringing)
            await phone.wait(CallEnded)
        else:
            phone.endpoint.bye(dialog)
            await client.until_state(ringing, CallState.ENDED)
    assert await tiles(house, person) == ("Call ended", "ended")


async def test_a_call_that_nobody_took(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        ringing, dialog = await ring(client, person, phone)
        phone.endpoint.cancel(dialog)
        await client.until_state(ringing, CallState.ENDED)
    assert await tiles(house, person) == ("Missed call", "missed")


async def test_a_call_that_the_user_declined(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.decline(ringing)
        await phone.wait(CallFailed)
    assert await tiles(house, person) == ("Call declined", "declined")


async def test_a_call_that_the_phone_declined(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        placed, dialog = await call(client, person, phone)
        phone.endpoint.reject(dialog, 603)
        await client.until_state(placed, CallState.ENDED)
    assert await tiles(house, person) == ("Call declined", "declined")


async def test_a_call_that_the_user_gave_up(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        placed, _ = await call(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallCancelled)
    assert await tiles(house, person) == ("Call ended, of unknown duration", "missed")
