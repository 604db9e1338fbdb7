"""Matrix users of the scripted homeserver that call and are called, without a client."""

from dataclasses import dataclass

from bridge.core.ids import RoomId, UserId
from tests.homeserver import ScriptedHomeserver
from tests.homeserver_model import Event
from tests.patience import PATIENCE_S

_TOKEN = "0123456789abcdef"
AS_TOKEN = f"as-{_TOKEN}"
HS_TOKEN = f"hs-{_TOKEN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedUser:
    """One device of one user in one room with a ghost."""

    homeserver: ScriptedHomeserver
    user_id: UserId
    room_id: RoomId

    async def invite(self, call_id: str, sdp: str) -> None:
        """Call whoever is in the room."""
        content = {"lifetime": 60000, "offer": {"type": "offer", "sdp": sdp}}
        await self._send("m.call.invite", call_id, content)

    async def answered(self, call_id: str) -> str:
        """Wait until the other side answered, select that answer; gives its description."""
        event = await self._wait("m.call.answer", call_id)
        selected = {"selected_party_id": event["content"]["party_id"]}
        await self._send("m.call.select_answer", call_id, selected)
        return str(event["content"]["answer"]["sdp"])

    async def answer(self, call_id: str, sdp: str) -> None:
        """Accept a call."""
        await self._send("m.call.answer", call_id, {"answer": {"type": "answer", "sdp": sdp}})

    async def decline(self, call_id: str) -> None:
        """Refuse a call."""
        await self._send("m.call.reject", call_id, {"reason": "user_hangup"})

    async def hang_up(self, call_id: str) -> None:
        """End a call."""
        await self._send("m.call.hangup", call_id, {"reason": "user_hangup"})

    async def hung_up(self, call_id: str) -> str:
        """Wait until the other side ended the call; gives the reason."""
        event = await self._wait("m.call.hangup", call_id)
        return str(event["content"].get("reason"))

    async def rejected(self, call_id: str) -> None:
        """Wait until the other side refused the call."""
        await self._wait("m.call.reject", call_id)

    async def _send(self, kind: str, call_id: str, content: dict[str, object]) -> None:
        common = {"call_id": call_id, "version": "1", "party_id": "SCRIPT"}
        await self.homeserver.send_as(self.user_id, self.room_id, kind, {**common, **content})

    async def _wait(self, kind: str, call_id: str) -> Event:
        def is_theirs(event: Event) -> bool:
            return bool(event["sender"] != self.user_id and event["content"].get("call_id") == call_id)

        return await self.homeserver.wait_event(self.room_id, kind, is_theirs, timeout_s=PATIENCE_S)
