"""From the answer to the first sound: DTLS that comes up and that does not, with real stacks behind the clients."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bridge.sip.events import CallAnswered, CallEnded
from tests.clients.client import CallState, Client, ClientCall
from tests.clients.house import House, Person, open_house
from tests.clients.kinds import ElementWeb, Nheko
from tests.clients.test_calling import call
from tests.clients.test_ringing import ring
from tests.e2e.webrtc import loopback_candidates
from tests.media.lossy_path import LossyPath
from tests.media.webrtc_stacks import STACKS, Stack
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT_TIMEOUT_S = 1
with_its_stack = pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ElementWeb, "libwebrtc with ECDSA"),
        (ElementWeb, "libwebrtc with RSA"),
        (Nheko, "OpenSSL with RSA, like Nheko"),
    ],
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house whose bridge does not wait long for ICE and DTLS."""
    directory = tmp_path_factory.mktemp("impatient")
    async with open_house(directory, media={"connect_timeout_s": CONNECT_TIMEOUT_S}) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(impatient: House) -> AsyncIterator[House]:
    yield impatient
    await impatient.bridge.wait_metric("calls_active", 0)
    assert await impatient.bridge.metric("internal_errors_total") == 0


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    with loopback_candidates():
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def peers() -> AsyncIterator[AsyncExitStack]:
    """Closes what is pushed."""
    async with AsyncExitStack() as closing:
        yield closing


async def fresh(name: str, peers: AsyncExitStack) -> Stack:
    """A stack of that name."""
    stack = await STACKS[name]()
    peers.push_async_callback(stack.close)
    return stack


def as_it_is(description: str) -> str:
    """No trouble."""
    return description


def with_another_certificate(description: str) -> str:
    """The fingerprint is not of the certificate that will be shown."""
    return re.sub(r"(a=fingerprint:\S+ )..:..", r"\g<1>00:00", description)


Spoil = Callable[[str], str]


async def place(client: Client, person: Person, phone: Phone, stack: Stack, spoil: Spoil = as_it_is) -> ClientCall:
    """The client calls and has the phone's answer, which its stack has not."""
    offer = spoil(LossyPath.hidden(await stack.offer()))
    placed, dialog = await call(client, person, phone, offer={"type": "offer", "sdp": offer})
    phone.endpoint.accept(dialog, sdp())
    await client.until_state(placed, CallState.CONNECTING)
    return placed


async def accept(client: Client, call: ClientCall, answer: str) -> None:
    """Take a call with what the client's stack says."""
    call.state = CallState.CONNECTING
    await client.send(call, "m.call.answer", {"answer": {"type": "answer", "sdp": answer}})


async def is_given_up(house: House, client: Client, call: ClientCall, phone: Phone, person: Person) -> None:
    """Both sides are told, each once, and the record says whose fault it was."""
    await phone.wait(CallEnded)
    await client.until_state(call, CallState.ENDED)
    assert (call.end, call.ended_by_peer) == ("ice_failed", True)
    await house.bridge.wait_metric("calls_active", 0)
    assert house.bridge.records()[-1]["reason"] == "ice_failed"


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
async def test_a_call_that_the_client_placed_ends_on_both_sides_when_no_dtls_comes_through(
    house: House, phone: Phone, peers: AsyncExitStack, kind: type[Client], name: str
) -> None:
    """Its ICE is up and its signalling looks perfect; Nheko itself would say nothing."""
    person, stack = await house.person(), await fresh(name, peers)
    async with house.client(kind, person) as client:
        placed = await place(client, person, phone, stack)
        with LossyPath.cut(placed.peer_sdp) as path:
            await stack.take_answer(path.shown(placed.peer_sdp))
            await is_given_up(house, client, placed, phone, person)
            assert path.lost
    await house.told(person, "answer", "candidates", "hangup", "m.room.message")


@with_its_stack
async def test_a_call_that_the_client_took_ends_on_both_sides_when_no_dtls_comes_through(
    house: House, phone: Phone, peers: AsyncExitStack, kind: type[Client], name: str
) -> None:
    person, stack = await house.person(), await fresh(name, peers)
    async with house.client(kind, person) as client:
        ringing, _ = await ring(client, person, phone)
        with LossyPath.cut(ringing.peer_sdp) as path:
            await accept(client, ringing, LossyPath.hidden(await stack.answer(path.shown(ringing.peer_sdp))))
            await phone.wait(CallAnswered)
            await is_given_up(house, client, ringing, phone, person)
            assert path.lost
    await house.told(person, "invite", "candidates", "select_answer", "hangup", "m.room.message")


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
