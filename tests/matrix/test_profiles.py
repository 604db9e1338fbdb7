"""What Matrix users are called, as phones are told."""

import asyncio

import pytest

from bridge.core.ids import E164
from bridge.matrix import profiles
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge


def asked(hs: ScriptedHomeserver) -> int:
    return sum(method == "GET" and "/profile/" in path for method, path, _ in hs.requests)


async def test_a_users_display_name_is_asked_for_once_in_a_while(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    alice = hs.add_user("alice", "Alice\u202e  Liddell")
    assert await bridge.service.display_name(alice) == "Alice Liddell"
    assert await bridge.service.display_name(alice) == "Alice Liddell"
    assert asked(hs) == 1


async def test_somebody_without_a_profile_has_no_name(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    assert await bridge.service.display_name(hs.bot) == ""


async def test_a_slow_homeserver_holds_no_call_up(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    alice = hs.add_user("alice", "Alice")
    hs.delay_s = 20.0
    started = asyncio.get_running_loop().time()
    assert await bridge.service.display_name(alice) == ""
    assert await bridge.service.display_name(alice) == ""
    assert asyncio.get_running_loop().time() - started < hs.delay_s / 2
    assert asked(hs) == 1, "the second call does not wait at all"
    hs.delay_s = 0.0


async def test_in_trouble_the_name_of_before_is_good_enough(
    hs: ScriptedHomeserver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "FRESH_S", 0.0)
    alice = hs.add_user("alice", "Alice")
    assert await bridge.service.display_name(alice) == "Alice"
    hs.faults.append(Fault(path="/profile/", status=500, times=100))
    assert await bridge.service.display_name(alice) == "Alice"


async def test_a_ghost_that_shares_a_room_asks_for_the_name(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    alice = hs.add_user("alice", "Alice")
    portal = await bridge.service.portal(user=alice, number=E164("+15550100"))
    await bridge.service.display_name(alice)
    assert [user for method, path, user in hs.requests if method == "GET" and "/profile/" in path] == [portal.ghost]
