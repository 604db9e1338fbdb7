"""From the dial pad to the call, and what comes and goes in the room."""

from dataclasses import replace

import pytest

from bridge.core.ids import UserId
from bridge.sip.events import CallAnswered, CallCancelled, CallEnded, CallFailed, CallProgress, IncomingCall
from tests.clients.client import CallState, Client
from tests.clients.house import GHOST, PHONE, House
from tests.clients.kinds import ALL, ElementAndroid, ElementWeb, JsSdk
from tests.clients.test_calling import call, talk
from tests.clients.test_ringing import ring
from tests.homeserver_model import Fault
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", ALL)
async def test_a_number_is_looked_up_its_ghost_invited_and_called_at_once(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    """Most clients do not wait for the ghost to join, and a homeserver pushes nothing until it has."""
    newcomer = house.newcomer()
    found = await house.homeserver.lookup("+1 (555) 010-0")
    assert [result["userid"] for result in found] == [GHOST]
    room_id = await house.homeserver.create_dm(newcomer.user_id, GHOST, wait=False)
    person = replace(newcomer, room_id=room_id)
    async with house.client(kind, person) as client:
        placed, dialog = await call(client, person, phone)
        phone.endpoint.accept(dialog, sdp())
        await client.until_state(placed, CallState.CONNECTING)
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")


async def test_a_call_and_its_hangup_in_one_transaction_ring_nobody(house: House, phone: Phone) -> None:
    """What was over before we read of it is not signalled (specification, VoIP, "Invitees")."""
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        with house.homeserver.together():
            placed = await client.place_call(person.room_id, GHOST)
            await client.hang_up(placed)
        await house.told(person)
    assert phone.of(IncomingCall) == []


async def test_a_call_that_was_over_before_the_ghost_joined_rings_nobody(house: House, phone: Phone) -> None:
    newcomer = house.newcomer()
    with house.homeserver.together():
        room_id = await house.homeserver.create_dm(newcomer.user_id, GHOST, wait=False)
        person = replace(newcomer, room_id=room_id)
        async with house.client(JsSdk, person) as client:
            await client.hang_up(await client.place_call(room_id, GHOST))
    await house.homeserver.wait_member(room_id, GHOST, "join")
    await house.told(person)
    assert phone.of(IncomingCall) == []


async def test_somebody_who_is_not_in_the_room_yet_rings_when_they_join(house: House, phone: Phone) -> None:
    newcomer = house.newcomer()
    dialog = phone.call(newcomer.number, PHONE)
    await phone.wait(CallProgress)
    homeserver = house.homeserver
    invited = await homeserver.wait_until(
        lambda: next((id_ for id_, room in homeserver.rooms.items() if room.membership(newcomer.user_id) == "invite"))
    )
    person = replace(newcomer, room_id=invited)
    async with house.client(ElementAndroid, person) as client:
        await homeserver.join_as(newcomer.user_id, invited)
        ringing = await client.rings()
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        phone.endpoint.bye(dialog)
        await client.until_state(ringing, CallState.ENDED)


async def test_a_call_sent_to_devices_instead_of_a_room_rings_nobody(house: House, phone: Phone) -> None:
    """Calls of a group (MSC3401) come that way; a homeserver may push them under either name."""
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed = client.new_call(person.room_id)
        content = {
            "call_id": placed.call_id,
            "version": "1",
            "party_id": client.device,
            "lifetime": 60_000,
            "offer": {"type": "offer", "sdp": client.describe(placed, "actpass")},
        }
        message = {"type": "m.call.invite", "sender": person.user_id, "to_user_id": GHOST, "content": content}
        for name in ("to_device", "de.sorunome.msc2409.to_device"):
            assert await house.homeserver.push_raw(f"{name} {placed.call_id}", {"events": [], name: [message]}) == 200
        await house.told(person)
    assert phone.of(IncomingCall) == []


async def test_ghosts_have_no_keys_so_that_their_rooms_are_not_encrypted(house: House, phone: Phone) -> None:
    """Element encrypts a new direct room when everybody in it has keys for devices."""
    newcomer = house.newcomer()
    phone.call(newcomer.number, PHONE)
    await phone.wait(CallProgress)
    asked = {path for _, path, _ in house.homeserver.requests}
    assert any("/createRoom" in path for path in asked)
    assert not any("/keys/" in path for path in asked)
    room = next(room for room in house.homeserver.rooms.values() if room.membership(newcomer.user_id) == "invite")
    assert ("m.room.encryption", "") not in room.state
    assert {user for kind, user in room.state if kind == "m.room.member"} == {newcomer.user_id, GHOST}


@pytest.mark.parametrize("who", ["the user", "the ghost"])
async def test_leaving_the_room_is_hanging_up(house: House, phone: Phone, who: str) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        await talk(client, person, phone)
        await house.homeserver.wait_event(
            person.room_id, "m.call.candidates", lambda event: bool(event["sender"] == GHOST)
        )
        if who == "the user":
            await house.homeserver.leave_as(person.user_id, person.room_id)
        else:
            kick = {"membership": "leave"}
            await house.homeserver.send_as(person.user_id, person.room_id, "m.room.member", kick, GHOST)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")


async def test_leaving_the_room_while_it_rings_turns_the_phone_away(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        await ring(client, person, phone)
        await house.homeserver.leave_as(person.user_id, person.room_id)
        assert (await phone.wait(CallFailed)).status == 480
    await house.told(person, "invite", "candidates")


async def test_leaving_the_room_before_the_answer_silences_the_phone(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementWeb, person) as client:
        await call(client, person, phone)
        await house.homeserver.leave_as(person.user_id, person.room_id)
        await phone.wait(CallCancelled)
    await house.told(person)


async def test_a_third_person_who_comes_in_does_not_disturb_the_call(house: House, phone: Phone) -> None:
    person = await house.person()
    third = UserId(f"@third{person.number[1:]}:example.org")
    async with house.client(ElementWeb, person) as client:
        placed, _ = await talk(client, person, phone)
        await house.homeserver.invite_as(person.user_id, person.room_id, third)
        await house.homeserver.join_as(third, person.room_id)
        content = {"call_id": placed.call_id, "version": "1", "party_id": placed.peer_party, "reason": "user_hangup"}
        for kind in ("m.call.hangup", "m.call.reject"):
            await house.homeserver.send_as(third, person.room_id, kind, content)
        await house.homeserver.leave_as(third, person.room_id)
        await client.hold(placed)
        await client.until(lambda: client.is_held(placed))
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates", "negotiate")


async def test_a_room_in_which_the_ghost_may_not_call_is_a_480_for_the_phone(house: House, phone: Phone) -> None:
    """Power levels, say; 503 would be a fault of ours, for which a PBX takes us out of service."""
    person = await house.person()
    forbidden = Fault(path="/send/m.call.invite", status=403, times=2, errcode="M_FORBIDDEN")
    house.homeserver.faults.append(forbidden)
    phone.call(person.number, PHONE)
    assert (await phone.wait(CallFailed)).status == 480
    assert forbidden.times == 0
    await house.told(person)


async def test_an_answer_that_cannot_be_used_ends_the_call_on_both_sides(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.accept_without_audio(ringing)
        await client.until_state(ringing, CallState.ENDED)
        assert (ringing.end, ringing.ended_by_peer) == ("unknown_error", True)
        assert (await phone.wait(CallFailed)).status in (488, 500)
    await house.told(person, "invite", "candidates", "select_answer", "hangup", "m.room.message")
