"""A bridge process between a scripted homeserver and SIP ports on which tests run what they like."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.core.ids import RoomId, UserId
from tests.e2e.forked_bridge import ForkedBridge
from tests.e2e.running_bridge import Bridge, Section
from tests.e2e.scripted_users import AS_TOKEN, HS_TOKEN, ScriptedUser
from tests.homeserver import ScriptedHomeserver
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

SERVER_NAME = "example.org"
PHONE = "+15550100"
_CALLEES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a test has of it."""

    directory: Path
    homeserver: ScriptedHomeserver
    bridge: Bridge
    phone_port: int
    """Where the trunk is, that carries all calls but those to +1556."""
    other_port: int
    """Where those go."""
    mute_port: int
    """Nobody answers connectivity checks here."""

    async def user(self, name: str, number: str = PHONE) -> ScriptedUser:
        """Somebody with a room in which the ghost of a number is."""
        user_id = self.homeserver.add_user(name)
        ghost = UserId(f"@_sip_{number}:{SERVER_NAME}")
        room_id = await self.homeserver.create_dm(user_id, ghost)
        return ScriptedUser(homeserver=self.homeserver, user_id=user_id, room_id=room_id)

    async def callee(self, number: int, *, limit_s: float = PATIENCE_S) -> tuple[ScriptedUser, str]:
        """Somebody whose number is called, once they have joined the room of the call and it rings there."""
        homeserver = self.homeserver
        user_id = homeserver.add_user(f"callee{number}")
        room_id = await homeserver.wait_until(lambda: self._invited_to(user_id), timeout_s=limit_s)
        assert room_id is not None
        await homeserver.join_as(user_id, room_id)
        invite = await homeserver.wait_event(room_id, "m.call.invite", timeout_s=limit_s)
        user = ScriptedUser(homeserver=homeserver, user_id=user_id, room_id=room_id)
        return user, str(invite["content"]["call_id"])

    def _invited_to(self, user_id: UserId) -> RoomId | None:
        rooms = self.homeserver.rooms.items()
        return next((room_id for room_id, room in rooms if room.membership(user_id) == "invite"), None)


def number_of(callee: int) -> str:
    """The telephone number of `@callee…`."""
    return f"+1555900{callee:04}"


@asynccontextmanager
async def open_exchange(directory: Path, sections: Mapping[str, Section] | None = None) -> AsyncIterator[Exchange]:
    """Start homeserver and bridge for one test, with further sections of the configuration."""
    phone_port, other_port = free_port(span=2), free_port()
    async with ScriptedHomeserver(server_name=SERVER_NAME, as_token=AS_TOKEN, hs_token=HS_TOKEN) as homeserver:
        outbound = [
            {"who": [SERVER_NAME], "prefixes": [prefix], "trunk": trunk}
            for prefix, trunk in (("+1555", "phone"), ("+1556", "other"))
        ]
        settings: dict[str, Section] = {
            "trunks": {
                "phone": {"server": f"{LOOPBACK}:{phone_port}"},
                "other": {"server": f"{LOOPBACK}:{other_port}"},
            },
            "numbers": {"inbound": {number_of(n): f"@callee{n}:{SERVER_NAME}" for n in range(_CALLEES)}},
            "permissions": {"outbound": outbound},
            "logging": {"level": "info"},
            **(sections or {}),
        }
        bridge = ForkedBridge(directory, homeserver_url=homeserver.url, server_name=SERVER_NAME, settings=settings)
        bridge.use_tokens(as_token=AS_TOKEN, hs_token=HS_TOKEN)
        homeserver.connect(f"http://{LOOPBACK}:{bridge.appservice_port}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind((LOOPBACK, 0))
            async with bridge:
                yield Exchange(
                    directory=directory,
                    homeserver=homeserver,
                    bridge=bridge,
                    phone_port=phone_port,
                    other_port=other_port,
                    mute_port=mute.getsockname()[1],
                )
