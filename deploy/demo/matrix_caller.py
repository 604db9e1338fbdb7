"""A person with a Matrix client: dials a number, answers a call, and hears what comes out of it."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Self

from deploy.demo.audio import Tone
from deploy.demo.errors import DemoError
from deploy.demo.matrix_client import ClientEvent, MatrixClient
from deploy.demo.milestones import Milestone, Milestones
from deploy.demo.webrtc import WebRtcAudio

_LIFETIME_MS = 60_000
_PENDING_CALLS = 8
_PENDING_EVENTS = 100


class MatrixCall:
    """One call as its Matrix side sees it, from the invite to the hangup (VoIP version 1)."""

    def __init__(self, client: MatrixClient, *, room_id: str, call_id: str, tone: Tone) -> None:
        self.room_id = room_id
        self.call_id = call_id
        self.party_id = client.device_id
        self.milestones = Milestones()
        self.audio = WebRtcAudio(tone, self.milestones)
        self.offered_sdp = ""
        self.caller = ""
        self._opponent_party: str | None = None
        self._client = client
        self.events: asyncio.Queue[ClientEvent] = asyncio.Queue(_PENDING_EVENTS)

    async def invite(self) -> None:
        """Call: our offer with all candidates, then the sign that no more will come."""
        offer = {"type": "offer", "sdp": await self.audio.offer()}
        await self._send("invite", {"lifetime": _LIFETIME_MS, "offer": offer, **self._stream_metadata(offer["sdp"])})
        await self._send_end_of_candidates()

    async def answer(self) -> None:
        """Accept the call that rings here."""
        answer = {"type": "answer", "sdp": await self.audio.answer(self.offered_sdp)}
        await self._send("answer", {"answer": answer, **self._stream_metadata(answer["sdp"])})
        self.milestones.reach(Milestone.ANSWERED)
        await self._send_end_of_candidates()

    async def hang_up(self) -> None:
        """End the call from this side."""
        await self._send("hangup", {"reason": "user_hangup"})
        self.milestones.end("this side hung up")

    async def give_up(self) -> None:
        """Leave nothing behind: hang up if it is not over, and free the audio."""
        if not self.milestones.reached(Milestone.ENDED):
            await self.hang_up()
        await self.audio.close()

    async def follow(self) -> None:
        """Work on the events of this call, in order, until it is cancelled."""
        while True:
            await self._on_event(await self.events.get())

    async def _on_event(self, event: ClientEvent) -> None:
        content = event.content
        match event.type.removeprefix("m.call."):
            case "answer":
                await self._on_answer(content)
            case "candidates":
                await self._on_candidates(content)
            case "hangup" | "reject" as kind:
                self.milestones.end(f"m.call.{kind}, reason {content.get('reason', 'not given')}")

    async def _on_answer(self, content: Mapping[str, Any]) -> None:
        if self.milestones.reached(Milestone.ANSWERED):
            return
        self._opponent_party = content.get("party_id")
        await self._send("select_answer", {"selected_party_id": self._opponent_party})
        self.milestones.reach(Milestone.ANSWERED)
        await self.audio.take_answer(content["answer"]["sdp"])

    async def _on_candidates(self, content: Mapping[str, Any]) -> None:
        for entry in content.get("candidates", []):
            await self.audio.take_candidate(entry.get("candidate", ""), entry.get("sdpMid"))

    async def _send(self, kind: str, content: Mapping[str, Any]) -> None:
        envelope = {"call_id": self.call_id, "version": "1", "party_id": self.party_id}
        await self._client.send(self.room_id, f"m.call.{kind}", {**envelope, **content})

    async def _send_end_of_candidates(self) -> None:
        await self._send("candidates", {"candidates": [{"candidate": "", "sdpMid": "0", "sdpMLineIndex": 0}]})

    def _stream_metadata(self, sdp: str) -> dict[str, Any]:
        stream_id = next((line[7:].split()[0] for line in sdp.splitlines() if line.startswith("a=msid:")), "-")
        metadata = {"purpose": "m.usermedia", "audio_muted": False, "video_muted": True}
        capabilities = {"m.call.transferee": False, "m.call.dtmf": False}
        return {"capabilities": capabilities, "sdp_stream_metadata": {stream_id: metadata}}


class MatrixCaller:
    """One user on one device. Use as an async context manager: leaving it logs the device out."""

    def __init__(self, homeserver_url: str, *, tone: Tone) -> None:
        self.client = MatrixClient(homeserver_url)
        self.tone = tone
        self.incoming: asyncio.Queue[MatrixCall] = asyncio.Queue(_PENDING_CALLS)
        self._calls: dict[str, MatrixCall] = {}
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    @property
    def user_id(self) -> str:
        """Known after :meth:`log_in`."""
        return self.client.user_id

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for task in self._running:
            task.cancel()
        try:
            await self._tasks.__aexit__(*error)
        finally:
            for call in self._calls.values():
                await call.audio.close()
            await self.client.close()

    async def log_in(self, name: str, password: str) -> None:
        """Log in and listen for calls from now on."""
        await self.client.login(name, password)
        since = await self.client.catch_up()
        self._running.append(self._tasks.create_task(self.client.sync_for_ever(since, self._on_event)))

    async def dial(self, number: str) -> tuple[str, str]:
        """Look a number up and open a room with the one behind it, as a dial pad does; the room's id and the user's."""
        ghost = await self.client.look_up(number)
        return await self.client.direct_room(ghost), ghost

    def new_call(self, room_id: str) -> MatrixCall:
        """A call that this side places in a room; nothing is sent yet."""
        return self._add_call(room_id, secrets.token_hex(16))

    def _add_call(self, room_id: str, call_id: str) -> MatrixCall:
        call = MatrixCall(self.client, room_id=room_id, call_id=call_id, tone=self.tone)
        self._calls[call_id] = call
        self._running.append(self._tasks.create_task(call.follow()))
        return call

    def _on_event(self, event: ClientEvent) -> None:
        """Sort the call events of others to their calls; our own come back too and are of no interest."""
        if not event.type.startswith("m.call.") or event.sender == self.user_id:
            return
        call_id = event.content.get("call_id")
        if event.type == "m.call.invite":
            self._on_invite(event)
        elif call_id in self._calls:
            self._calls[call_id].events.put_nowait(event)

    def _on_invite(self, event: ClientEvent) -> None:
        if self.incoming.full():
            raise DemoError("more calls come in than anybody answers")
        call = self._add_call(event.room_id, event.content["call_id"])
        call.caller = event.sender
        call.offered_sdp = event.content["offer"]["sdp"]
        call.milestones.reach(Milestone.RINGING)
        self.incoming.put_nowait(call)
