"""Calls recorded between matrix-js-sdk 43, Synapse and an application service, once more with ours in its place.

What the user's devices sent is sent again; what the recorded service sent tells what happened at the telephone. Ours
has to say the same, in the same order, and at least the same fields of the same types.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import IncomingCall
from tests.clients.demands import faults
from tests.clients.house import PHONE, House, Person
from tests.homeserver_model import Event
from tests.sip.phone import Phone, sdp

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIXTURES = Path(__file__).parents[1] / "matrix" / "fixtures"
RECORDINGS = {path.stem: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))}
STATUSES = {"user_busy": 486, None: 603}
NOT_COMPARED = {"m.call.asserted_identity"}
"""Said when the phone's side changed, which nothing in the recording tells."""


class Replay:
    """One recorded conversation, in a room of its own."""

    def __init__(self, house: House, person: Person, phone: Phone) -> None:
        self.house, self.person, self.phone = house, person, phone
        self.names: dict[str, str] = {}
        """Ids of calls and parties of the recorded service, and ours in their place."""
        self.dialogs: dict[str, DialogKey] = {}
        self.answered: set[str] = set()
        self.from_phone: set[str] = set()
        self.expected = 0
        self.placed = 0

    async def play(self, event: Event) -> list[str]:
        """One recorded event; gives what ours lacks."""
        if not self.house.homeserver.is_ghost(event["sender"].replace("localhost", self.house.homeserver.server_name)):
            await self._user(event["type"], event["content"])
            return []
        if event["type"] in NOT_COMPARED:
            return []
        kind = await self._telephone(event["type"], event["content"])
        self.expected += 1
        ours = await self._next()
        self.names[event["content"]["call_id"]] = ours["content"]["call_id"]
        self.names[event["content"]["party_id"]] = ours["content"]["party_id"]
        different = [f"{ours['type']} instead of {kind}"] if ours["type"] != kind else []
        return [*different, *faults(ours["type"], ours["content"]), *lacking(event["content"], ours["content"])]

    async def _user(self, kind: str, recorded: Mapping[str, Any]) -> None:
        content = copy.deepcopy(dict(recorded))
        for field in ("call_id", "selected_party_id"):
            if content.get(field) in self.names:
                content[field] = self.names[content[field]]
        # Candidates of the machine on which it was recorded lead nowhere near it.
        content = json.loads(json.dumps(content).replace("192.0.2.2", "127.0.0.1").replace("fd00::2", "::1"))
        await self.house.homeserver.send_as(self.person.user_id, self.person.room_id, kind, content)
        if kind == "m.call.invite":
            self.placed += 1
            ringing = await self.phone.wait(IncomingCall, count=self.placed)
            self.dialogs[recorded["call_id"]] = ringing.dialog
        elif kind == "m.call.answer":
            self.answered.add(recorded["call_id"])

    async def _telephone(self, kind: str, recorded: Mapping[str, Any]) -> str:
        """Do at the phone what makes the bridge say what was recorded; gives the kind of event that has to come."""
        call_id = recorded["call_id"]
        dialog = self.dialogs.get(call_id)
        if kind == "m.call.invite":
            self.dialogs[call_id] = self.phone.call(self.person.number, PHONE)
            self.from_phone.add(call_id)
        elif kind == "m.call.answer" and dialog is not None:
            self.phone.endpoint.accept(dialog, sdp())
            self.answered.add(call_id)
        elif kind in ("m.call.hangup", "m.call.reject") and dialog is not None:
            return self._end(dialog, call_id, recorded)
        return kind

    def _end(self, dialog: DialogKey, call_id: str, recorded: Mapping[str, Any]) -> str:
        if call_id in self.answered:
            self.phone.endpoint.bye(dialog)
        elif call_id not in self.from_phone:
            # The recorded service tried a hangup here, which js-sdk ignores before an answer.
            self.phone.endpoint.reject(dialog, STATUSES[recorded.get("reason")])
            return "m.call.reject"
        else:
            self.phone.endpoint.cancel(dialog)
        return "m.call.hangup"

    async def _next(self) -> Event:
        await self.house.homeserver.wait_until(lambda: len(self.said()) >= self.expected)
        return self.said()[self.expected - 1]

    def said(self) -> list[Event]:
        """What ours has sent, without the end of candidates, which the recorded service left out."""
        said = self.house.said(self.person)
        return [event for event in said if event["type"] not in {"m.call.candidates", *NOT_COMPARED}]


def lacking(recorded: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Fields that were recorded and that ours does not have, or has with another type."""
    if type(recorded) is not type(ours):
        yield f"{path} is {type(ours).__name__}"
    elif isinstance(recorded, Mapping):
        if path.endswith(".sdp_stream_metadata"):  # keyed by the stream
            recorded, ours = {"*": next(iter(recorded.values()))}, {"*": next(iter(ours.values()))}
        for key, value in recorded.items():
            if key in ours:
                yield from lacking(value, ours[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is missing"


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recorded_call_goes_as_it_went(house: House, phone: Phone, name: str) -> None:
    replay = Replay(house, await house.person(), phone)
    for event in RECORDINGS[name]:
        assert await replay.play(event) == []
    # The specification has a reject selected like an answer, which the recorded service did not do.
    selected = ["m.call.select_answer"] if name.endswith("browser-reject") else []
    await house.homeserver.wait_until(lambda: len(replay.said()) >= replay.expected + len(selected))
    await house.bridge.wait_metric("calls_active", 0)
    await house.homeserver.wait_idle()
    assert [event["type"] for event in replay.said()[replay.expected :]] == selected
