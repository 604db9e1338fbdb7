"""Calls in which no audio can flow: the bridge gives them up in time, and says so on both sides."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bridge.sip.events import CallAnswered
from tests.clients.client import Client
from tests.clients.connecting import accept, fresh, is_given_up, place, with_its_stack
from tests.clients.house import House, open_house
from tests.clients.test_ringing import ring
from tests.media.lossy_path import LossyPath
from tests.sip.phone import Phone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("loopback_only")]
CONNECT_TIMEOUT_S = 1


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
