"""What cannot be bridged is said once, with what to do instead."""

from pathlib import Path

import pytest

from bridge.core.ids import E164, RoomId, UserId
from bridge.matrix.link import MatrixError
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge

NUMBER = E164("+15550100")
GHOST = UserId("@_sip_+15550100:example.org")
ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}
MESSAGE = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"}
MEMBERSHIP = {"application": "m.call", "call_id": "", "device_id": "D"}


@pytest.fixture
def alice(hs: ScriptedHomeserver) -> UserId:
    return hs.add_user("alice")


def notices(hs: ScriptedHomeserver, room: RoomId) -> list[str]:
    return [event["content"]["body"] for event in hs.events(room, "m.room.message")]


async def test_an_encrypted_room_is_explained_once_and_a_plain_one_is_made(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.room.encryption", ENCRYPTION, "")
    for _ in range(3):
        await hs.send_as(alice, room, "m.room.encrypted", MESSAGE)
    await hs.wait_event(room, "m.room.message")
    await bridge.handled.wait("m.room.encrypted", 3)
    assert len(notices(hs, room)) == 1
    assert "without encryption" in notices(hs, room)[0]
    (fresh,) = set(hs.rooms) - {room}
    assert hs.rooms[fresh].membership(alice) == "invite"
    portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert portal.room_id == fresh


async def test_a_room_that_was_encrypted_before_the_phone_was_invited_is_explained_at_the_first_message(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_room(alice)
    await hs.send_as(alice, room, "m.room.encryption", ENCRYPTION, "")
    await hs.invite_as(alice, room, GHOST, is_direct=True)
    await hs.wait_member(room, GHOST, "join")
    await hs.send_as(alice, room, "m.room.encrypted", MESSAGE)
    await hs.wait_event(room, "m.room.message")
    assert len(notices(hs, room)) == 1


async def test_a_restart_says_nothing_again(hs: ScriptedHomeserver, tmp_path: Path, alice: UserId) -> None:
    async with running_bridge(hs, tmp_path / "db"):
        room = await hs.create_dm(alice, GHOST)
        await hs.send_as(alice, room, "m.room.encryption", ENCRYPTION, "")
        await hs.wait_event(room, "m.room.message")
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await hs.send_as(alice, room, "m.room.encrypted", MESSAGE)
        await bridge.handled.wait("m.room.encrypted")
        await hs.wait_idle()
    assert len(notices(hs, room)) == 1


async def test_without_a_plain_room_none_is_promised(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    hs.faults.append(Fault(path="/createRoom", status=403, errcode="M_FORBIDDEN"))
    await hs.send_as(alice, room, "m.room.encryption", ENCRYPTION, "")
    await hs.wait_event(room, "m.room.message")
    assert "invited" not in notices(hs, room)[0]


async def test_a_user_of_another_homeserver_gets_no_room(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    portal = await bridge.service.portal(user=UserId("@carol:elsewhere.org"), number=NUMBER)
    await hs.join_as(UserId("@carol:elsewhere.org"), portal.room_id)
    await hs.send_as(UserId("@carol:elsewhere.org"), portal.room_id, "m.room.encryption", ENCRYPTION, "")
    await hs.wait_event(portal.room_id, "m.room.message")
    assert len(hs.rooms) == 1


async def test_a_room_with_a_third_person_is_left_alone(hs: ScriptedHomeserver, bridge: Bridge, alice: UserId) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.join_as(hs.add_user("bob"), room)
    await hs.send_as(alice, room, "m.room.encryption", ENCRYPTION, "")
    await bridge.handled.wait("m.room.encryption")
    await hs.wait_idle()
    assert notices(hs, room) == []


@pytest.mark.parametrize(
    ("kind", "state_key"),
    [
        ("org.matrix.msc3401.call.member", "_@alice:example.org_D"),
        ("m.call.member", "_@alice:example.org_D"),
        ("org.matrix.msc4075.rtc.notification", None),
        ("m.rtc.notification", None),
    ],
)
async def test_element_call_is_explained_once(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId, kind: str, state_key: str | None
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, kind, MEMBERSHIP, state_key)
    await hs.send_as(alice, room, kind, MEMBERSHIP, state_key)
    await bridge.handled.wait(kind, 2)
    await hs.wait_event(room, "m.room.message")
    assert len(notices(hs, room)) == 1
    assert "Legacy Call" in notices(hs, room)[0]


async def test_leaving_an_element_call_needs_no_explanation(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.call.member", {}, "_@alice:example.org_D")
    await bridge.handled.wait("m.call.member")
    await hs.wait_idle()
    assert notices(hs, room) == []


async def test_a_homeserver_that_encrypts_every_room_is_not_filled_with_rooms(
    hs: ScriptedHomeserver, bridge: Bridge, alice: UserId
) -> None:
    hs.encrypts_all_rooms = True
    for _ in range(3):
        with pytest.raises(MatrixError):
            await bridge.service.portal(user=alice, number=NUMBER)
    (room,) = hs.rooms
    assert hs.rooms[room].membership(GHOST) == "leave"
    assert notices(hs, room) == []
