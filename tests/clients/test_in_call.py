"""What happens while a client and a phone talk."""

import pytest

from bridge.sip.events import CallAnswered, CallEnded, CallReoffered, IncomingCall
from tests.clients.client import Client
from tests.clients.descriptions import attribute
from tests.clients.house import House
from tests.clients.kinds import ALL, NEGOTIATING, JsSdk, Nheko
from tests.clients.test_calling import talk
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", NEGOTIATING)
async def test_a_client_that_holds_and_goes_on_is_answered_each_time_and_the_phone_is_told(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, _ = await talk(client, person, phone)
        await client.hold(placed)
        await client.until(lambda: client.is_held(placed))
        await client.hold(placed, flow="sendrecv")
        await client.until(lambda: not client.is_held(placed))
        await phone.wait(CallReoffered)
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates", "negotiate", "negotiate")


@pytest.mark.parametrize("kind", NEGOTIATING)
async def test_a_client_that_was_called_can_hold_too(house: House, phone: Phone, kind: type[Client]) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.accept(ringing)
        await client.until(lambda: ringing.selected)
        await phone.wait(CallAnswered)
        await client.hold(ringing)
        await client.until(lambda: client.is_held(ringing))
        await client.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer", "negotiate")


@pytest.mark.parametrize("kind", ALL)
async def test_a_phone_that_holds_is_not_negotiated_with_the_client(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    """Nheko hangs up for any negotiate of ours, and the tone of the phone's side is audio like any other."""
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, dialog = await talk(client, person, phone)
        phone.endpoint.reoffer(dialog, sdp() + "a=sendonly\r\n")
        await phone.wait_until(lambda: any(type(event).__name__ == "CallReofferAnswered" for event in phone.events))
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")


async def test_a_client_on_a_new_network_gets_new_ice_credentials_and_keeps_its_call(
    house: House, phone: Phone
) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed, _ = await talk(client, person, phone)
        before = attribute(placed.peer_sdp, "ice-ufrag")
        await client.restart_ice(placed)
        await client.until(lambda: attribute(placed.peer_sdp, "ice-ufrag") != before)
        assert phone.of(CallEnded) == []
        await client.hang_up(placed)
        await phone.wait(CallEnded)


async def test_a_client_that_adds_video_is_refused_the_video_and_keeps_its_call(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed, _ = await talk(client, person, phone)
        await client.add_video(placed)
        await client.until(lambda: "m=video 0" in placed.peer_sdp)
        await client.hang_up(placed)
        await phone.wait(CallEnded)


async def test_a_call_with_video_is_answered_without_it(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed = await client.place_video_call(person.room_id)
        phone.endpoint.accept((await phone.wait(IncomingCall)).dialog, sdp())
        await client.until(lambda: "m=video 0" in placed.peer_sdp)
        await client.hang_up(placed)
        await phone.wait(CallEnded)


async def test_another_device_of_the_caller_can_neither_hang_up_nor_hold(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client, house.client(Nheko, person) as other:
        placed, _ = await talk(client, person, phone)
        await other.send(placed, "m.call.hangup", {"reason": "user_hangup"})
        await other.send(placed, "m.call.select_answer", {"selected_party_id": other.device})
        await other.hold(placed)
        await house.homeserver.wait_idle()
        await client.hold(placed)
        await client.until(lambda: client.is_held(placed))
        assert phone.of(CallEnded) == []
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates", "negotiate")
