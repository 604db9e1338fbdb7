"""Each client calls a phone."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallCancelled, CallEnded, IncomingCall
from tests.clients.client import CallState, Client, ClientCall
from tests.clients.house import GHOST, House, Person
from tests.clients.kinds import ALL, ElementIos, JsSdk
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

each_client = pytest.mark.parametrize("kind", ALL)


async def call(client: Client, person: Person, phone: Phone, **changes: object) -> tuple[ClientCall, DialogKey]:
    """Dial, and wait until the phone rings."""
    placed = await client.place_call(person.room_id, GHOST, **changes)
    return placed, (await phone.wait(IncomingCall)).dialog


async def talk(client: Client, person: Person, phone: Phone) -> tuple[ClientCall, DialogKey]:
    """Dial, and wait until the client has the phone's answer."""
    placed, dialog = await call(client, person, phone)
    phone.endpoint.accept(dialog, sdp())
    await client.until_state(placed, CallState.CONNECTING)
    return placed, dialog


@each_client
async def test_a_phone_that_answers_is_answered_once_with_all_candidates(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, _ = await talk(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")


@each_client
async def test_a_phone_that_hangs_up_ends_the_clients_call_with_one_hangup(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, dialog = await talk(client, person, phone)
        phone.endpoint.bye(dialog)
        await client.until_state(placed, CallState.ENDED)
        assert (placed.end, placed.ended_by_peer) == ("user_hangup", True)
    await house.told(person, "answer", "candidates", "hangup")


@each_client
@pytest.mark.parametrize(
    ("status", "shown"),
    [(486, "user_busy"), (600, "user_busy"), (603, "user_hangup"), (480, "invite_timeout"), (408, "invite_timeout")],
)
async def test_a_refusal_is_a_reject_with_the_reason_that_the_client_shows(
    house: House, phone: Phone, kind: type[Client], status: int, shown: str
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, dialog = await call(client, person, phone)
        phone.endpoint.reject(dialog, status)
        await client.until_state(placed, CallState.ENDED)
        assert (placed.end, placed.ended_by_peer) == (shown, True)
    await house.told(person, "reject")


@each_client
async def test_a_caller_who_gives_up_silences_the_phone_and_hears_nothing_more(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, _ = await call(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallCancelled)
    await house.told(person)


@pytest.mark.parametrize("call_id", ["0", "with space/ü?&#%", "x" * 255])
async def test_a_call_may_be_called_anything(house: House, phone: Phone, call_id: str) -> None:
    """The grammar of opaque identifiers is newer than clients; whatever they write is the key of the call."""
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        client.new_call_id = lambda: call_id  # type: ignore[method-assign]
        placed, _ = await talk(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")
    assert {event["content"]["call_id"] for event in house.said(person)} == {call_id}


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not ElementIos])
async def test_a_client_whose_own_time_is_up_silences_the_phone(house: House, phone: Phone, kind: type[Client]) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        placed, _ = await call(client, person, phone)
        await client.its_own_time_is_up(placed)
        await phone.wait(CallCancelled)
    await house.told(person)


async def test_an_invite_that_expires_in_silence_is_given_up_by_the_bridge(house: House, phone: Phone) -> None:
    """Element iOS tells nobody, and Nheko rings on."""
    person = await house.person()
    async with house.client(ElementIos, person) as client:
        placed, _ = await call(client, person, phone, lifetime=5_000)
        await phone.wait(CallCancelled)
        await client.until_state(placed, CallState.ENDED)
        assert (placed.end, placed.ended_by_peer) == ("invite_timeout", True)
    await house.told(person, "reject")


async def test_an_answer_of_the_phone_that_crosses_the_callers_hangup_is_hung_up(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        placed, dialog = await call(client, person, phone)
        phone.endpoint.accept(dialog, sdp())
        await client.hang_up(placed)
        await phone.wait(CallEnded)
