"""Ghosts come when they are called, leave when they are not needed, and know who is in the room."""

import itertools
from pathlib import Path

import pytest

from bridge.core.ids import RoomId, UserId
from bridge.matrix.client import Client
from bridge.matrix.events import Json
from bridge.matrix.link import MatrixError
from bridge.store import StoreError
from bridge.store.inbox import Inbox
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge

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


async def test_what_is_written_to_a_ghost_before_it_joined_is_not_lost(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/join/", status=502))
    room = await hs.create_dm(alice, GHOST, wait=False)
    await hs.send_as(alice, room, "m.room.message", {"msgtype": "m.text", "body": "Is anybody there?"})
    await hs.wait_member(room, GHOST, "join")
    (event,) = await bridge.handled.wait("m.room.message")
    assert event.content["body"] == "Is anybody there?"


async def test_what_was_said_while_no_ghost_was_invited_goes_to_no_phone(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_room(alice)
    await hs.send_as(alice, room, "m.room.message", {"msgtype": "m.text", "body": "To myself"})
    await hs.invite_as(alice, room, GHOST)
    await hs.wait_member(room, GHOST, "join")
    await hs.leave_as(GHOST, room)
    await hs.send_as(alice, room, "m.room.message", {"msgtype": "m.text", "body": "To myself again"})
    hs.faults.append(Fault(path="/join/", status=502))
    await hs.invite_as(alice, room, GHOST)
    await hs.send_as(alice, room, "m.room.message", {"msgtype": "m.text", "body": "To the phone"})
    await hs.wait_member(room, GHOST, "join")
    await bridge.handled.wait("m.room.message")
    said = [event.content["body"] for event in bridge.handled.of_type("m.room.message")]
    assert said == ["To the phone"]


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


async def test_whoever_is_no_number_declines(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    who = hs.add_user("_sip_=2b15550100")
    room = await hs.create_room(alice, invite=[who])
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


async def test_a_call_placed_before_the_ghost_joined_outlives_a_store_that_fails(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, attempts = Inbox.claim, itertools.count(1)

    async def fail_once(inbox: Inbox, position: int) -> bool:
        # The invitation of the ghost is the first to be claimed, the call in the history the second.
        if next(attempts) == 2:
            raise StoreError("the disk is full")
        return await claim(inbox, position)

    monkeypatch.setattr(Inbox, "claim", fail_once)
    room = await hs.create_room(alice)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    await hs.send_as(alice, room, "m.call.candidates", {"call_id": "c1", "candidates": []})
    await hs.invite_as(alice, room, GHOST, is_direct=True)
    await bridge.handled.wait("m.call.candidates")
    calls = [event.type for event in bridge.handled.events if event.type.startswith("m.call.")]
    assert calls == ["m.call.invite", "m.call.candidates"]


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


@pytest.mark.parametrize(
    ("event_type", "content"),
    [("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}), ("m.room.join_rules", {"join_rule": "public"})],
)
async def test_an_event_that_comes_during_a_read_is_believed(
    hs: ScriptedHomeserver,
    tmp_path: Path,
    alice: UserId,
    monkeypatch: pytest.MonkeyPatch,
    event_type: str,
    content: dict[str, str],
) -> None:
    async with running_bridge(hs, tmp_path / "db"):
        room = await hs.create_dm(alice, GHOST)
        await hs.wait_idle()
    async with running_bridge(hs, tmp_path / "db") as bridge:
        read_state = Client.state

        async def read_slowly(client: Client, room_id: RoomId, user: UserId, kind: str, key: str = "") -> Json | None:
            monkeypatch.setattr(Client, "state", read_state)
            answer = await read_state(client, room_id, user, kind, key)
            await hs.send_as(alice, room, event_type, content, "")
            await bridge.handled.wait(event_type)
            return answer

        monkeypatch.setattr(Client, "state", read_slowly)
        rooms = bridge.service._rooms
        read = rooms.is_public if event_type == "m.room.join_rules" else rooms.is_encrypted
        assert [await read(room), await read(room)] == [True, True]


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


@pytest.mark.parametrize("membership", [[], {}, 7, None, ["leave"]])
async def test_a_membership_that_is_no_word_means_nothing_and_breaks_nothing(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, membership: object
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.room.member", {"membership": membership}, state_key="@carol:example.org")
    events = await bridge.handled.wait("m.room.member", 2)
    assert [event.state_key for event in events] == [GHOST, "@carol:example.org"]
    assert not [title for title in bridge.telemetry.counts if "internal_errors_total" in str(title)]


async def test_state_under_another_key_says_nothing_of_the_room(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.room.join_rules", {"join_rule": "public"}, state_key="other")
    await bridge.handled.wait("m.room.join_rules")
    assert not await bridge.service.is_public(room)
