"""A user calls over two trunks, of which the first is dead in one of five ways: real sockets, sipp and baresip."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.core.ids import UserId
from tests.clients.client import CallState
from tests.clients.house import SERVER_NAME, House, open_house
from tests.clients.kinds import JsSdk
from tests.peers.baresip import Baresip
from tests.peers.certificates import Authority
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUas

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = Path(__file__).parents[1] / "peers" / "scenarios"
SILENT_S, SLOW_S = 1.0, 15.0
"""How long a trunk is waited for: not long where it never answers, and anywhere else for as long as it may take."""
WAYS = {
    "closed": ("+15550201", "trunk_unreachable"),
    "silent": ("+15550202", "trunk_unreachable"),
    "unavailable": ("+15550203", "trunk_failure"),
    "untrusted": ("+15550204", "trunk_unreachable"),
    "nameless": ("+15550205", "trunk_unreachable"),
}
"""How a trunk is dead, the number whose calls it gets first, and why they go on."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A bridge with five dead trunks and one that lives."""

    house: House
    living: SippUas


@contextmanager
def silence() -> Iterator[int]:
    """A port that takes datagrams and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((LOOPBACK, 0))
        yield bound.getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Exchange]:
    folder = tmp_path_factory.mktemp("trunks")
    ours, strangers = Authority(folder, "Ours"), Authority(folder, "Strangers")
    async with AsyncExitStack() as stack:
        living = await stack.enter_async_context(SippUas(folder))
        busy = await stack.enter_async_context(SippUas(folder, scenario=SCENARIOS / "uas_unavailable.xml"))
        untrusted = Baresip(
            folder, "bob", transport="tls", identity=strangers.issue(file="stranger"), authority=strangers
        )
        await stack.enter_async_context(untrusted)
        servers = {
            "closed": {"server": f"{LOOPBACK}:{free_port()}"},
            "silent": {"server": f"{LOOPBACK}:{stack.enter_context(silence())}"},
            "unavailable": {"server": f"{LOOPBACK}:{busy.port}"},
            "untrusted": {"server": f"{LOOPBACK}:{untrusted.tls_port}", "transport": "tls"},
            "nameless": {"server": "trunk.invalid"},
            "living": {"server": f"{LOOPBACK}:{living.port}", "caller_id": "+15550199"},
        }
        certificate = ours.issue(file="bridge")
        house = await stack.enter_async_context(
            open_house(
                folder,
                trunks={
                    name: {**server, "failover_after_s": SILENT_S if name == "silent" else SLOW_S}
                    for name, server in servers.items()
                },
                numbers={
                    "dial_plan": [
                        {"prefixes": [number], "trunks": [way, "living"]} for way, (number, _) in WAYS.items()
                    ]
                },
                sip={
                    "tls": {
                        "certificate": str(certificate.certificate),
                        "private_key": str(certificate.private_key),
                        "ca_file": str(ours.ca_file),
                    }
                },
            )
        )
        yield Exchange(house=house, living=living)


@pytest.mark.parametrize("way", WAYS)
async def test_the_living_trunk_takes_the_call_and_the_caller_notices_nothing(exchange: Exchange, way: str) -> None:
    house, (number, reason) = exchange.house, WAYS[way]
    ghost = UserId(f"@_sip_{number}:{SERVER_NAME}")
    newcomer = house.newcomer()
    person = replace(newcomer, room_id=await house.homeserver.create_dm(newcomer.user_id, ghost))
    before = await house.bridge.metric("trunk_failovers_total", trunk=way, reason=reason)
    async with house.client(JsSdk, person) as client:
        placed = await client.place_call(person.room_id, ghost)
        await client.until_state(placed, CallState.CONNECTING)
        await client.hang_up(placed)
    await house.bridge.wait_metric("calls_active", 0)
    await house.homeserver.wait_idle()
    spoken = [event["type"] for event in house.homeserver.events(person.room_id) if event["sender"] == ghost]
    assert spoken[-2:] == ["m.call.answer", "m.call.candidates"]
    assert await house.bridge.metric("trunk_failovers_total", trunk=way, reason=reason) == before + 1
    assert await house.bridge.metric("internal_errors_total") == 0
    assert await house.bridge.metric("call_illegal_events_total") == 0
