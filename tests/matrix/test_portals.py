"""A phone that rings a user finds the right room, or makes one."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from bridge.core.ids import E164, UserId
from bridge.matrix.link import MatrixError
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge

NUMBER = E164("+15550100")
GHOST = UserId("@_sip_+15550100:example.org")


@pytest.fixture
def alice(hs: ScriptedHomeserver) -> UserId:
    return hs.add_user("alice")


async def test_a_phone_makes_a_direct_room_and_waits_for_the_user(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert (portal.ghost, portal.user_joined) == (GHOST, False)
    room = hs.rooms[portal.room_id]
    assert room.membership(alice) == "invite"
    assert room.state["m.room.member", alice]["content"]["is_direct"] is True
    assert room.state["m.room.history_visibility", ""]["content"] == {"history_visibility": "invited"}
    levels = room.state["m.room.power_levels", ""]["content"]
    assert levels["users"] == {GHOST: 100}
    assert (levels["events"]["m.call.invite"], levels["events"]["org.matrix.msc3401.call.member"]) == (0, 100)
    await hs.join_as(alice, portal.room_id)
    await bridge.handled.wait("m.room.member")
    again = await bridge.service.portal(user=alice, number=NUMBER)
    assert (again.room_id, again.user_joined) == (portal.room_id, True)


async def test_the_bot_makes_a_room_with_a_user_once(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room_id = await bridge.service.bot_room(alice)
    assert hs.rooms[room_id].membership(alice) == "invite"
    assert hs.rooms[room_id].membership(bridge.service.bot) == "join"
    await hs.join_as(alice, room_id)
    await bridge.handled.wait("m.room.member")
    assert await bridge.service.bot_room(alice) == room_id


async def test_a_phone_uses_the_room_that_the_user_made(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert (portal.room_id, portal.user_joined) == (room, True)


async def test_the_ghost_of_a_main_line_asks_only_about_rooms_of_the_user_it_calls(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    async with running_bridge(hs, tmp_path / "db"):
        own = await hs.create_dm(alice, GHOST)
        for number in range(8):
            await hs.create_dm(hs.add_user(f"user{number}"), GHOST)
        await hs.wait_idle()
    async with running_bridge(hs, tmp_path / "db") as bridge:
        newcomer = await bridge.service.portal(user=hs.add_user("bob"), number=NUMBER)
        assert (await bridge.service.portal(user=alice, number=NUMBER)).room_id == own
    asked = {path.split("/")[5] for _, path, _ in hs.requests if "joined_members" in path}
    assert asked <= {quote(room_id, safe="") for room_id in (own, newcomer.room_id)}


async def test_a_new_database_finds_the_room_that_the_user_made(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    async with running_bridge(hs, tmp_path / "lost"):
        room = await hs.create_dm(alice, GHOST)
        await hs.wait_idle()
    async with running_bridge(hs, tmp_path / "new") as bridge:
        assert not await bridge.service.is_public(room)
        assert (await bridge.service.portal(user=alice, number=NUMBER)).room_id == room


async def test_two_calls_at_once_share_a_room(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    portals = await asyncio.gather(*(bridge.service.portal(user=alice, number=NUMBER) for _ in range(5)))
    assert len({portal.room_id for portal in portals}) == 1
    assert len([path for _, path, _ in hs.requests if "createRoom" in path]) == 1


async def test_a_portal_outlives_a_restart(hs: ScriptedHomeserver, tmp_path: Path, alice: UserId) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        first = await bridge.service.portal(user=alice, number=NUMBER)
        await hs.join_as(alice, first.room_id)
    async with running_bridge(hs, tmp_path / "db") as bridge:
        second = await bridge.service.portal(user=alice, number=NUMBER)
    assert (second.room_id, second.user_joined) == (first.room_id, True)


@pytest.mark.parametrize(
    ("event_type", "content"),
    [("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}), ("m.room.tombstone", {"replacement_room": "!x:y"})],
)
async def test_a_room_that_is_of_no_use_any_more_is_replaced(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, event_type: str, content: dict[str, str]
) -> None:
    first = await bridge.service.portal(user=alice, number=NUMBER)
    await hs.join_as(alice, first.room_id)
    await hs.send_as(alice, first.room_id, event_type, content, "")
    await bridge.handled.wait(event_type)
    second = await bridge.service.portal(user=alice, number=NUMBER)
    assert second.room_id != first.room_id


async def test_a_room_that_was_replaced_while_we_were_away_is_not_used(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST, wait=False)
    await hs.send_as(alice, room, "m.room.tombstone", {"replacement_room": "!x:y"}, "")
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await hs.wait_member(room, GHOST, "join")
        await bridge.handled.wait("m.room.member")
        assert (await bridge.service.portal(user=alice, number=NUMBER)).room_id != room


async def test_an_encrypted_room_of_the_user_is_not_used(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_room(alice)
    await hs.send_as(alice, room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}, "")
    await hs.invite_as(alice, room, GHOST, is_direct=True)
    await hs.wait_member(room, GHOST, "join")
    await bridge.handled.wait("m.room.member")
    assert (await bridge.service.portal(user=alice, number=NUMBER)).room_id != room


@pytest.mark.parametrize("deed", ["declined", "removed_the_ghost", "brought_a_friend"])
async def test_a_portal_that_is_spoilt_is_replaced(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, deed: str
) -> None:
    first = await bridge.service.portal(user=alice, number=NUMBER)
    await hs.join_as(alice, first.room_id)
    await bridge.handled.wait("m.room.member")
    if deed == "declined":
        await hs.leave_as(alice, first.room_id)
    elif deed == "removed_the_ghost":
        await hs.send_as(alice, first.room_id, "m.room.member", {"membership": "leave"}, GHOST)
    else:
        await hs.join_as(hs.add_user("bob"), first.room_id)
    await bridge.handled.wait("m.room.member", 2)
    second = await bridge.service.portal(user=alice, number=NUMBER)
    assert (second.room_id != first.room_id, second.user_joined) == (True, False)


async def test_a_homeserver_that_makes_no_room_is_an_error(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/createRoom", status=502))
    with pytest.raises(MatrixError):
        await bridge.service.portal(user=alice, number=NUMBER)


@pytest.mark.parametrize("version", ["11", "12", "org.example.future"])
async def test_rooms_of_every_version_can_be_made(tmp_path: Path, version: str) -> None:
    async with ScriptedHomeserver(room_version=version) as hs, running_bridge(hs, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=hs.add_user("alice"), number=NUMBER)
        levels = hs.rooms[portal.room_id].state["m.room.power_levels", ""]["content"]
        assert levels["users"] == ({} if version == "12" else {GHOST: 100})


async def test_a_homeserver_that_hides_its_room_version_gets_a_second_try(
    tmp_path: Path,
) -> None:
    async with ScriptedHomeserver(room_version="12") as hs, running_bridge(hs, tmp_path / "db") as bridge:
        hs.faults.append(Fault(path="/capabilities", status=404, errcode="M_UNRECOGNIZED"))
        portal = await bridge.service.portal(user=hs.add_user("alice"), number=NUMBER)
        assert hs.rooms[portal.room_id].state["m.room.power_levels", ""]["content"]["users"] == {}


@pytest.mark.parametrize("hidden", [True, False])
async def test_a_refused_invitation_says_nothing_about_the_rooms_of_the_homeserver(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, hidden: bool
) -> None:
    if hidden:
        hs.faults.append(Fault(path="/capabilities", status=404, times=2, errcode="M_UNRECOGNIZED"))
    refused = Fault(path="/createRoom", status=400, times=2 if hidden else 1, errcode="M_INCOMPATIBLE_ROOM_VERSION")
    hs.faults.append(refused)
    with pytest.raises(MatrixError):
        await bridge.service.portal(user=UserId("@carol:elsewhere.org"), number=NUMBER)
    assert refused.times == 0
    portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert hs.rooms[portal.room_id].state["m.room.power_levels", ""]["content"]["users"] == {GHOST: 100}


async def test_a_homeserver_that_changes_the_version_of_its_rooms_is_asked_again(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    await bridge.service.portal(user=alice, number=NUMBER)
    hs.room_version = "12"
    bob = hs.add_user("bob")
    with pytest.raises(MatrixError):
        await bridge.service.portal(user=bob, number=NUMBER)
    portal = await bridge.service.portal(user=bob, number=NUMBER)
    assert hs.rooms[portal.room_id].state["m.room.power_levels", ""]["content"]["users"] == {}
