"""One house for all tests of clients; after each, the bridge has met no fault and holds no call."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.clients.house import House, open_house
from tests.e2e.webrtc import loopback_candidates
from tests.sip.phone import Phone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Application and homeserver, once."""
    async with open_house(tmp_path_factory.mktemp("clients")) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(shared_house: House) -> AsyncIterator[House]:
    """The house, and a look at what the test has left in it."""
    yield shared_house
    assert await shared_house.bridge.metric("internal_errors_total") == 0
    assert await shared_house.bridge.metric("call_illegal_events_total") == 0
    await shared_house.bridge.wait_metric("calls_active", 0)


@pytest_asyncio.fixture(loop_scope="session")
async def phone(house: House) -> AsyncIterator[Phone]:
    """The telephone."""
    async with house.phone() as phone:
        yield phone


@pytest.fixture
def loopback_only() -> Iterator[None]:
    """WebRTC stacks find each other on this machine alone."""
    with loopback_candidates():
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def peers() -> AsyncIterator[AsyncExitStack]:
    """Closes the stacks that are pushed."""
    async with AsyncExitStack() as closing:
        yield closing
