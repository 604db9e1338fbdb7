"""What a user, a homeserver and the application notice of the Matrix side."""

from tests.homeserver import ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge

INVITE = {"call_id": "c1", "version": "1", "party_id": "P", "lifetime": 60000, "offer": {"type": "offer", "sdp": "v=0"}}


async def test_a_ghost_that_is_invited_joins_and_the_call_is_handed_over(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    alice = hs.add_user("alice")
    ghost = bridge.service.ghost_id("+15550100")
    room = await hs.create_dm(alice, ghost)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    (event,) = await bridge.handled.wait("m.call.invite")
    assert (event.sender, event.room_id, event.content["call_id"]) == (alice, room, "c1")
    assert await bridge.service.joined_members(room) == {alice, ghost}
    assert hs.users[ghost] == "+1 5550100"
