"""Whether Matrix users are there: what the homeserver pushes, and what it says when asked."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import E164, UserId
from bridge.core.presence import Presence, PresenceState
from bridge.matrix import presence
from bridge.matrix.presence import read_presence
from tests.homeserver import ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge

ALICE = UserId("@alice:example.org")
ONLINE, UNAVAILABLE, OFFLINE = PresenceState.ONLINE, PresenceState.UNAVAILABLE, PresenceState.OFFLINE
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def edu(content: Any, sender: object = ALICE) -> dict[str, object]:
    return {"type": "m.presence", "sender": sender, "content": content}


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ({"presence": "online", "currently_active": True, "last_active_ago": 5_000}, Presence(state=ONLINE)),
        ({"presence": "online", "last_active_ago": 5_000}, Presence(state=ONLINE, active_at=95.0)),
        ({"presence": "free_for_chat"}, Presence(state=ONLINE)),
        ({"presence": "unavailable", "last_active_ago": True}, Presence(state=UNAVAILABLE)),
        ({"presence": "offline", "last_active_ago": -1}, Presence(state=OFFLINE)),
        ({"presence": "hidden"}, Presence(state=OFFLINE)),
        ({"presence": "busy"}, None),
        ({"presence": ["online"]}, None),
        ({}, None),
        ("online", None),
    ],
)
def test_each_state_of_each_version_is_read(content: Any, read: Presence | None) -> None:
    assert read_presence(content, now=100.0) == read


@given(st.fixed_dictionaries({}, optional={"presence": st.just("online") | ANYTHING, "last_active_ago": ANYTHING}))
def test_whatever_a_homeserver_says_is_read_or_passed_over(content: dict[str, Any]) -> None:
    found = read_presence(content, now=100.0)
    assert found is None or found.state_at(200.0) in PresenceState


@pytest.mark.parametrize("key", ["ephemeral", "de.sorunome.msc2409.ephemeral"])
async def test_presence_that_is_pushed_is_known_without_a_question(
    hs: ScriptedHomeserver, bridge: Bridge, key: str
) -> None:
    noise: list[object] = [edu({"presence": "offline"}, sender=7), {"type": "m.typing"}, None, edu(None)]
    body = {"events": [], key: [*noise, edu({"presence": "unavailable"})]}
    assert await hs.push_raw("presence", body) == 200
    assert await bridge.service.presence(ALICE) is UNAVAILABLE
    assert not any("/presence/" in path for _, path, _ in hs.requests)


async def test_a_transaction_that_comes_again_does_not_bring_old_presence_back(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    for txn_id, state in (("one", "online"), ("two", "offline"), ("one", "online")):
        await hs.push_raw(txn_id, {"events": [], "ephemeral": [edu({"presence": state})]})
    assert await bridge.service.presence(ALICE) is OFFLINE


@pytest.mark.parametrize("body", [{"events": [], "ephemeral": 7}, {"events": [], "ephemeral": {"a": 1}}])
async def test_ephemeral_nonsense_is_no_reason_to_refuse_a_transaction(
    hs: ScriptedHomeserver, bridge: Bridge, body: object
) -> None:
    assert await hs.push_raw("nonsense", body) == 200


async def test_presence_that_nobody_pushed_is_asked_for_by_a_ghost_that_has_called_the_user(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    alice = hs.add_user("alice")
    hs.presence[alice] = {"presence": "online"}
    assert await bridge.service.presence(alice) is None
    portal = await bridge.service.portal(user=alice, number=E164("+15550100"))
    await hs.join_as(alice, portal.room_id)
    assert await bridge.service.presence(alice) is ONLINE


async def test_a_homeserver_that_keeps_no_presence_makes_nobody_absent(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    alice = hs.add_user("alice")
    portal = await bridge.service.portal(user=alice, number=E164("+15550100"))
    await hs.join_as(alice, portal.room_id)
    assert await bridge.service.presence(alice) is None
    hs.presence[alice] = {"presence": "offline", "last_active_ago": 100_000}
    assert await bridge.service.presence(alice) is OFFLINE


async def test_a_slow_homeserver_holds_no_call_up(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    hs.delay_s = 20.0
    started = asyncio.get_running_loop().time()
    assert await bridge.service.presence(ALICE) is None
    assert asyncio.get_running_loop().time() - started < hs.delay_s / 2
    hs.delay_s = 0.0


async def test_no_more_users_are_remembered_than_fit(
    hs: ScriptedHomeserver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MAX_KNOWN", 2)
    users = [UserId(f"@user{number}:example.org") for number in range(3)]
    entries = [edu({"presence": "online"}, sender=user) for user in users]
    await hs.push_raw("many", {"events": [], "ephemeral": entries})
    assert [await bridge.service.presence(user) for user in users] == [None, ONLINE, ONLINE]


async def test_a_phones_ghost_is_shown_as_present(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    await bridge.service.show_presence(E164("201"), UNAVAILABLE, "On the phone")
    assert hs.presence["@_sip_201:example.org"] == {"presence": "unavailable", "status_msg": "On the phone"}
    await bridge.service.show_presence(E164("201"), ONLINE, "")
    assert hs.presence["@_sip_201:example.org"] == {"presence": "online"}
