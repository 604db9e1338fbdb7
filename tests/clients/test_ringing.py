"""A phone calls each client."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallProgress
from tests.clients.client import CallState, Client, ClientCall
from tests.clients.house import House, Person
from tests.clients.kinds import ALL, ElementAndroid, JsSdk, Nheko
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

each_client = pytest.mark.parametrize("kind", ALL)


async def ring(client: Client, person: Person, phone: Phone) -> tuple[ClientCall, DialogKey]:
    """The phone dials the person's number; wait until the client rings and the phone knows it."""
    dialog = phone.call(person.number, "+15550100")
    ringing = await client.rings()
    await phone.wait(CallProgress)
    return ringing, dialog


@each_client
async def test_a_client_that_answers_is_selected_and_the_phone_is_answered(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        await client.until(lambda: ringing.selected)
        await client.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")


@each_client
async def test_a_phone_that_hangs_up_ends_the_answered_call_with_one_hangup(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, dialog = await ring(client, person, phone)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        phone.endpoint.bye(dialog)
        await client.until_state(ringing, CallState.ENDED)
        assert (ringing.end, ringing.ended_by_peer) == ("user_hangup", True)
    await house.told(person, "invite", "candidates", "select_answer", "hangup")


@each_client
async def test_a_client_that_declines_is_selected_and_the_phone_hears_603(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.decline(ringing)
        assert (await phone.wait(CallFailed)).status == 603
    await house.told(person, "invite", "candidates", "select_answer")


@pytest.mark.parametrize(("reason", "status"), [("user_hangup", 603), ("user_busy", 486)])
async def test_a_reason_to_decline_is_told_to_the_phone(house: House, phone: Phone, reason: str, status: int) -> None:
    person = await house.person()
    async with house.client(ElementAndroid, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.decline(ringing, reason=reason)
        assert (await phone.wait(CallFailed)).status == status


@each_client
async def test_a_phone_that_gives_up_silences_the_client_with_one_hangup(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, dialog = await ring(client, person, phone)
        phone.endpoint.cancel(dialog)
        await client.until_state(ringing, CallState.ENDED)
        assert (ringing.end, ringing.ended_by_peer) == ("user_hangup", True)
    await house.told(person, "invite", "candidates", "hangup")


@each_client
async def test_a_hangup_before_the_answer_declines_as_old_clients_do(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        await client.send(ringing, "m.call.hangup", {"reason": "user_hangup"})
        assert (await phone.wait(CallFailed)).status == 603
    await house.told(person, "invite", "candidates")


@pytest.mark.parametrize("reason", ["ice_failed", "user_media_failed", "unknown_error", "invite_timeout"])
async def test_a_device_in_trouble_does_not_stop_the_others(house: House, phone: Phone, reason: str) -> None:
    """Nheko, for one, sends `invite_timeout` for an invite that it takes to be for somebody else."""
    person = await house.person()
    async with house.client(Nheko, person) as broken, house.client(JsSdk, person) as good:
        ringing, _ = await ring(good, person, phone)
        await broken.send(await broken.rings(), "m.call.hangup", {"reason": reason})
        await good.accept(ringing)
        await phone.wait(CallAnswered)
        await good.hang_up(ringing)
        await phone.wait(CallEnded)


@each_client
async def test_a_late_reject_or_answer_of_a_client_that_rings_on_is_ignored(
    house: House, phone: Phone, kind: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as client:
        ringing, dialog = await ring(client, person, phone)
        phone.endpoint.cancel(dialog)
        await client.until_state(ringing, CallState.ENDED)
        await client.send(ringing, "m.call.reject", {})
        await client.send(ringing, "m.call.answer", {"answer": {"type": "answer", "sdp": sdp()}})
        await house.homeserver.wait_idle()
    await house.told(person, "invite", "candidates", "hangup")
