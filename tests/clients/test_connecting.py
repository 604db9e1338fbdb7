"""From the answer to the first sound: DTLS that comes up, and that is refused, with real stacks behind the clients."""

from contextlib import AsyncExitStack

import pytest

from bridge.sip.events import CallAnswered, CallEnded
from tests.clients.client import Client
from tests.clients.connecting import accept, fresh, is_given_up, place, with_another_certificate, with_its_stack
from tests.clients.house import House
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("loopback_only")]


@with_its_stack
async def test_audio_can_flow_in_a_call_that_the_client_placed(
    house: House, phone: Phone, peers: AsyncExitStack, kind: type[Client], name: str
) -> None:
    person, stack = await house.person(), await fresh(name, peers)
    async with house.client(kind, person) as client:
        placed = await place(client, person, phone, stack)
        await stack.take_answer(placed.peer_sdp)
        await stack.connected()
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    await house.told(person, "answer", "candidates")


@with_its_stack
async def test_audio_can_flow_in_a_call_that_the_client_takes(
    house: House, phone: Phone, peers: AsyncExitStack, kind: type[Client], name: str
) -> None:
    person, stack = await house.person(), await fresh(name, peers)
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        await accept(client, ringing, await stack.answer(ringing.peer_sdp))
        await stack.connected()
        await phone.wait(CallAnswered)
        await client.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")


@with_its_stack
async def test_a_certificate_that_was_not_announced_ends_the_call_on_both_sides(
    house: House, phone: Phone, peers: AsyncExitStack, kind: type[Client], name: str
) -> None:
    person, stack = await house.person(), await fresh(name, peers)
    async with house.client(kind, person) as client:
        placed = await place(client, person, phone, stack, with_another_certificate)
        await stack.take_answer(placed.peer_sdp)
        await is_given_up(house, client, placed, phone, person)
    await house.told(person, "answer", "candidates", "hangup", "m.room.message")
