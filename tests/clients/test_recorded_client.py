"""What matrix-js-sdk 43 made of each recorded call, and what our script of it makes of the same events.

So the other tests try the bridge against a client that is known to behave as the real one does.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.core.ids import RoomId, UserId
from tests.clients.client import CallState, ClientCall
from tests.clients.kinds import JsSdk
from tests.homeserver import ScriptedHomeserver

RECORDINGS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "recorded").glob("*.json")}
EARLY_HANGUP = "a hangup before the answer, which is ignored"


class NoHomeserver:
    """What the client says is not what is looked at."""

    async def send_as(self, *_: object) -> None:
        return None


async def watch(client: JsSdk, event: Mapping[str, Any]) -> None:
    """One recorded event: what the device itself did, or what came."""
    content = event["content"]
    call = client.calls.get(content["call_id"])
    if not event["own"]:
        reaction = client._reactions.get(event["type"])
        if reaction is not None:
            await reaction({**event, "origin_server_ts": int(time.time() * 1000)}, content)
    elif event["type"] == "m.call.invite":
        placed = ClientCall(
            call_id=content["call_id"], room_id=RoomId(event["room_id"]), outgoing=True, state=CallState.RINGING_OUT
        )
        client.calls[placed.call_id] = placed
    elif event["type"] == "m.call.answer":
        assert call is not None
        call.state = CallState.CONNECTING
    elif event["type"] in ("m.call.hangup", "m.call.reject"):
        assert call is not None
        client.end(call, content.get("reason", "user_hangup"), by_peer=False)


@pytest.mark.parametrize("name", sorted(RECORDINGS))
async def test_the_script_of_a_client_ends_every_recorded_call_as_the_client_did(name: str) -> None:
    recording = RECORDINGS[name]
    homeserver: Any = NoHomeserver()
    device = next((event["content"]["party_id"] for event in recording["events"] if event["own"]), "DEVICE")
    client = JsSdk(cast(ScriptedHomeserver, homeserver), UserId("@alice:localhost"), device, port=9)
    for event in recording["events"]:
        await watch(client, event)
    ended = [call for call in client.calls.values() if call.state is CallState.ENDED]
    shown = [("in" if not call.outgoing else "out", call.end, call.ended_by_peer) for call in ended]
    recorded = [(end["dir"], end["hangup"], end["party"] == "remote") for end in recording["shown"] if "hangup" in end]
    assert shown == recorded
    hangups = [event for event in recording["events"] if event["type"] == "m.call.hangup" and not event["own"]]
    ignored = len(hangups) - sum(by_peer for _, _, by_peer in recorded)
    rejects = [event for event in recording["events"] if event["type"] == "m.call.reject" and not event["own"]]
    assert client.complaints == [EARLY_HANGUP] * (ignored + len(rejects))
