"""Ghosts come when they are called, leave when they are not needed, and phones find the right room."""

import asyncio
from pathlib import Path

import pytest

from bridge.core.ids import E164, RoomId, UserId
from bridge.matrix.link import MatrixError
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge

NUMBER = E164("+15550100")
GHOST = UserId("@_sip_+15550100:example.org")
INVITE = {"call_id": "c1", "version": "1", "party_id": "P", "lifetime": 60000, "offer": {"type": "offer", "sdp": "v=0"}}


@pytest.fixture
def alice(hs: ScriptedHomeserver) -> UserId:
    return hs.add_user("alice")


# --- invitations ----------------------------------------------------------------------------------------------------


async def test_a_call_placed_before_the_ghost_joined_is_not_lost(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/join/", status=502))
    room = await hs.create_dm(alice, GHOST, wait=False)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await hs.send_as(alice, room, "m.call.candidates", {"call_id": "c1", "candidates": []})
    await hs.wait_member(room, GHOST, "join")
    await hs.send_as(alice, room, "m.call.hangup", {"call_id": "c1"})
    await bridge.handled.wait("m.call.hangup")
    calls = [event.type for event in bridge.handled.events if event.type.startswith("m.call.")]
    assert calls == ["m.call.invite", "m.call.candidates", "m.call.hangup"]


async def test_a_call_that_is_seen_twice_is_handed_over_once(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await bridge.handled.wait("m.call.invite")
    await hs.leave_as(GHOST, room)
    await hs.invite_as(alice, room, GHOST)
    await hs.wait_member(room, GHOST, "join")
    await hs.send_as(alice, room, "m.call.hangup", {"call_id": "c1"})
    await bridge.handled.wait("m.call.hangup")
    assert len(bridge.handled.of_type("m.call.invite")) == 1


async def test_old_calls_in_the_history_are_left_alone(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_room(alice)
    await hs.send_as(alice, room, "m.call.invite", {**INVITE, "call_id": "old"})
    hs.events(room, "m.call.invite")[0]["origin_server_ts"] -= 181_000
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await hs.invite_as(alice, room, GHOST)
    (event,) = await bridge.handled.wait("m.call.invite")
    assert event.content["call_id"] == "c1"


async def test_a_hidden_history_does_not_keep_the_ghost_out(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/messages", status=403, errcode="M_FORBIDDEN"))
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await bridge.handled.wait("m.call.invite")


async def test_a_join_that_is_refused_at_first_is_tried_again(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/join/", status=403, times=2, errcode="M_FORBIDDEN"))
    await hs.create_dm(alice, GHOST)


async def test_a_join_that_stays_refused_does_not_stop_the_room(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/join/", status=403, times=3, errcode="M_FORBIDDEN"))
    room = await hs.create_dm(alice, GHOST, wait=False)
    await bridge.handled.wait("m.room.member")
    await hs.leave_as(GHOST, room)
    await hs.invite_as(alice, room, GHOST)
    await hs.wait_member(room, GHOST, "join")


async def test_an_invitation_that_waited_for_a_restart_is_accepted(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST, wait=False)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await bridge.handled.wait("m.call.invite")


@pytest.mark.parametrize("who", ["@_sip_bot:example.org", "@_sip_=2b15550100:example.org"])
async def test_the_bot_and_nobodies_decline(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, who: str) -> None:
    hs.add_user(who[1:].split(":")[0])
    room = await hs.create_room(alice, invite=[UserId(who)])
    await hs.wait_member(room, who, "leave")


async def test_an_invitation_from_another_server_is_declined(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    hs.add_user("_sip_+15550100")
    mallory = UserId("@mallory:elsewhere.org")
    room = await hs.create_room(mallory, invite=[GHOST], is_direct=True)
    await hs.wait_member(room, GHOST, "leave")


@pytest.mark.parametrize("shown", [True, False])
async def test_a_ghost_does_not_stay_in_a_public_room(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, shown: bool
) -> None:
    hs.shows_stripped_state = shown
    hs.add_user("_sip_+15550100")
    room = await hs.create_room(alice, public=True)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await hs.invite_as(alice, room, GHOST)
    await hs.wait_event(room, "m.room.member", lambda e: e["content"] == {"membership": "leave"})
    await bridge.handled.wait("m.room.member")
    assert bridge.handled.of_type("m.call.invite") == []
    assert len([event for event in hs.events(room, "m.room.member") if event["state_key"] == GHOST]) == 3 - shown


# --- members --------------------------------------------------------------------------------------------------------


async def test_members_are_read_once_and_then_followed(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    bob = hs.add_user("bob")
    await bridge.handled.wait("m.room.member")
    assert await bridge.service.joined_members(room) == {alice, GHOST}
    reads = len([path for _, path, _ in hs.requests if "joined_members" in path])
    await hs.invite_as(alice, room, bob)
    await hs.join_as(bob, room)
    await bridge.handled.wait("m.room.member", 3)
    assert await bridge.service.joined_members(room) == {alice, bob, GHOST}
    await hs.leave_as(bob, room)
    await bridge.handled.wait("m.room.member", 4)
    assert await bridge.service.joined_members(room) == {alice, GHOST}
    assert len([path for _, path, _ in hs.requests if "joined_members" in path]) == reads


async def test_a_room_that_becomes_public_is_noticed(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    assert not await bridge.service.is_public(room)
    await hs.send_as(alice, room, "m.room.join_rules", {"join_rule": "public"}, "")
    await bridge.handled.wait("m.room.join_rules")
    assert await bridge.service.is_public(room)


async def test_a_room_without_a_ghost_cannot_be_read(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    with pytest.raises(MatrixError):
        await bridge.service.joined_members(RoomId("!none:example.org"))


async def test_a_new_database_learns_the_old_rooms(hs: ScriptedHomeserver, tmp_path: Path, alice: UserId) -> None:
    async with running_bridge(hs, tmp_path / "lost"):
        room = await hs.create_dm(alice, GHOST)
        await hs.wait_idle()
    async with running_bridge(hs, tmp_path / "new") as bridge:
        assert not await bridge.service.is_public(room)
        assert await bridge.service.joined_members(room) == {alice, GHOST}


async def test_a_ghost_that_was_away_learns_what_it_missed(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    assert await bridge.service.joined_members(room) == {alice, GHOST}
    await hs.send_as(alice, room, "m.room.member", {"membership": "leave"}, GHOST)
    await bridge.handled.wait("m.room.member", 2)
    bob = hs.add_user("bob")
    await hs.join_as(bob, room)
    await hs.invite_as(alice, room, GHOST)
    await bridge.handled.wait("m.room.member", 3)
    assert await bridge.service.joined_members(room) == {alice, bob, GHOST}


async def test_the_ghost_leaves_with_its_user(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    await hs.leave_as(alice, room)
    await hs.wait_member(room, GHOST, "leave")
    await bridge.handled.wait("m.room.member", 2)
    assert await bridge.store.rooms.ghosts_in(room) == ()


# --- portals --------------------------------------------------------------------------------------------------------


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


async def test_a_phone_uses_the_room_that_the_user_made(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert (portal.room_id, portal.user_joined) == (room, True)


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
    assert second.room_id != first.room_id or event_type == "m.room.tombstone"


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
