"""Names and presence, from one end of the application to the other."""

from pathlib import Path

import pytest

from bridge.sip.events import CallCancelled, CallFailed, CallProgress, IncomingCall, OutgoingCall
from tests.clients.house import GHOST, PHONE, SERVER_NAME, House, Person, open_house
from tests.clients.kinds import JsSdk
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUas
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIO = Path(__file__).parent.parent / "peers" / "scenarios" / "watched_phone.xml"


async def pushed(house: House, person: Person, state: str) -> None:
    """The homeserver says how a person is."""
    entry = {"type": "m.presence", "sender": person.user_id, "content": {"presence": state}}
    assert await house.homeserver.push_raw(f"presence-{state}", {"events": [], "ephemeral": [entry]}) == 200


async def test_phone_and_user_see_each_others_names(house: House, phone: Phone) -> None:
    person = await house.person()
    house.homeserver.users[person.user_id] = "Zoë"
    async with house.client(JsSdk, person) as client:
        call = await client.place_call(person.room_id, GHOST)
        assert (await phone.wait(IncomingCall)).caller_name == "Zoë"
        await client.hang_up(call)
        await phone.wait(CallCancelled)
        phone.endpoint.invite(
            OutgoingCall(trunk=phone.trunk, called=person.number, caller=PHONE, caller_name="Jane", sdp=sdp())
        )
        ringing = await client.rings()
        assert house.homeserver.users[GHOST] == "Jane (+1 5550100)"
        await client.decline(ringing)
        await phone.wait(CallFailed)


async def test_a_user_who_is_away_is_not_rung_and_the_phone_is_told_at_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, calls={"ring_when": {SERVER_NAME: "online"}}) as house, house.phone() as phone:
        person = await house.person()
        await pushed(house, person, "unavailable")
        phone.call(person.number, PHONE)
        assert (await phone.wait(CallFailed)).status == 480
        assert house.said(person) == []
        await pushed(house, person, "online")
        phone.call(person.number, PHONE)
        await phone.wait(CallProgress)


async def test_what_the_pbx_tells_of_a_phone_is_seen_by_matrix_users(tmp_path: Path) -> None:
    port = free_port()
    pbx = {
        "server": f"{LOOPBACK}:{port}",
        "auth": "digest",
        "username": "alice",
        "password": "secret",
        "presence_of": ["201"],
    }
    async with SippUas(tmp_path, scenario=SCENARIO, port=port, calls=1) as uas:
        async with open_house(tmp_path, trunks={"pbx": pbx}) as house:

            def shown() -> object:
                return house.homeserver.presence.get(f"@_sip_201:{SERVER_NAME}")

            on_the_phone = {"presence": "unavailable", "status_msg": "On the phone"}
            await house.homeserver.wait_until(lambda: shown() == on_the_phone)
            await house.homeserver.wait_until(lambda: shown() == {"presence": "online"})
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
