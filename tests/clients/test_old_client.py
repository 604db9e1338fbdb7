"""A client of version 0: no parties, no rejects, no selection (specification, VoIP, "Compatibility")."""

import pytest

from bridge.sip.events import CallAnswered, CallCancelled, CallEnded, CallFailed
from tests.clients.client import CallState
from tests.clients.house import House
from tests.clients.kinds import Version0
from tests.clients.test_calling import call, talk
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_its_call_is_answered_and_hung_up_in_version_0(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(Version0, person) as client:
        placed, dialog = await talk(client, person, phone)
        phone.endpoint.bye(dialog)
        await client.until_state(placed, CallState.ENDED)
    await house.told(person, "answer", "candidates", "hangup")
    assert [event["content"]["version"] for event in house.said(person)] == [0, 0, 0]


async def test_its_call_is_refused_by_a_hangup(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(Version0, person) as client:
        placed, dialog = await call(client, person, phone)
        phone.endpoint.reject(dialog, 486)
        await client.until_state(placed, CallState.ENDED)
        assert placed.end == "user_busy"
    await house.told(person, "hangup")


async def test_it_gives_up_its_call(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(Version0, person) as client:
        placed, _ = await call(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallCancelled)
    await house.told(person)


async def test_its_answer_is_taken_without_a_selection(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(Version0, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        await client.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates")


async def test_it_declines_by_a_hangup(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(Version0, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.decline(ringing)
        assert (await phone.wait(CallFailed)).status == 603
    await house.told(person, "invite", "candidates")
