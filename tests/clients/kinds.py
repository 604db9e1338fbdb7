"""The clients that people use, each by what sets it apart (read in their sources, state of 2026)."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from bridge.core.ids import RoomId
from tests.clients.client import CallState, Client, ClientCall
from tests.clients.demands import KNOWN_REASONS
from tests.clients.descriptions import Style, attribute
from tests.homeserver_model import Event

Json = Mapping[str, Any]


class JsSdk(Client):
    """matrix-js-sdk used as its documentation says: with `invitee`, so that crossing calls are settled by it."""

    shortest_ring_ms = 3_000
    invite_extras: ClassVar[Json] = {"capabilities": {"m.call.transferee": False, "m.call.dtmf": False}}
    answer_extras = invite_extras
    heeds_early_hangup = False

    def new_call_id(self) -> str:
        return f"{int(time.time() * 1000)}{uuid.uuid4().hex[:16]}"

    def trickled(self) -> list[list[Json]]:
        """A last batch that is more than the end only when something was left to send."""
        return [[{"candidate": self.host_candidate(), "sdpMid": "0", "sdpMLineIndex": 0}, {"candidate": ""}]]

    async def send(self, call: ClientCall, kind: str, content: Json) -> None:
        described = kind in ("m.call.invite", "m.call.answer", "m.call.negotiate")
        stream = {"purpose": "m.usermedia", "audio_muted": False, "video_muted": True}
        metadata = {"sdp_stream_metadata": {f"of{self.device}": stream}} if described else {}
        await super().send(call, kind, {**content, **metadata})

    async def place_video_call(self, room_id: RoomId) -> ClientCall:
        """The camera button."""
        call = self.new_call(room_id)
        offer = {"type": "offer", "sdp": self.describe(call, "actpass", video=True)}
        await self.send(call, "m.call.invite", {"lifetime": self.lifetime_ms, "offer": offer})
        return call

    async def accept_without_audio(self, call: ClientCall) -> None:
        """A browser that has nothing but video to offer."""
        call.state = CallState.CONNECTING
        sdp = self.describe(call, "active").replace("m=audio", "m=video")
        await self.send(call, "m.call.answer", {"answer": {"type": "answer", "sdp": sdp}})

    async def restart_ice(self, call: ClientCall) -> None:
        """2 s without connectivity, or another network."""
        await self.negotiate(call, self.describe(call, "actpass", restart=True))

    async def add_video(self, call: ClientCall) -> None:
        """The camera or the screen is switched on in the call."""
        await self.negotiate(call, self.describe(call, "actpass", video=True))

    async def on_invite(self, event: Event, content: Json) -> None:
        """`initWithInvite` drops a call without tracks in silence."""
        if attribute(content["offer"]["sdp"], "msid"):
            await super().on_invite(event, content)

    async def hang_up(self, call: ClientCall) -> None:
        """Before an opponent was chosen it leaves the reason out."""
        reason = {} if call.state is CallState.RINGING_OUT else {"reason": "user_hangup"}
        await self.send(call, "m.call.hangup", reason)
        self.end(call, "user_hangup", by_peer=False)

    async def hold(self, call: ClientCall, *, flow: str = "sendonly") -> None:
        await super().hold(call, flow=flow)
        muted = {"purpose": "m.usermedia", "audio_muted": flow == "sendonly", "video_muted": True}
        streams = {"sdp_stream_metadata": {f"of{self.device}": muted}}
        await self.send(call, "m.call.sdp_stream_metadata_changed", streams)

    async def on_hangup(self, event: Event, content: Json) -> None:
        """Its own user's hangup on another device ends the ringing as well."""
        call = self.calls.get(content["call_id"])
        if call is not None and event["sender"] == self.user and call.state is CallState.RINGING:
            self.end(call, "elsewhere", by_peer=False)
        else:
            await super().on_hangup(event, content)

    async def on_crossing(self, own: ClientCall, theirs: ClientCall) -> None:
        """The lesser id survives: `callEventHandler`."""
        if own.call_id > theirs.call_id:
            await self._replace(own)
            theirs.state = CallState.RINGING
            self.calls[theirs.call_id] = theirs
            await self.accept(theirs)
        else:
            await self._replace(theirs)

    async def _replace(self, call: ClientCall) -> None:
        await self.send(call, "m.call.hangup", {"reason": "replaced"})
        self.end(call, "replaced", by_peer=False)


class ElementWeb(JsSdk):
    """Element Web and Desktop: no `invitee`, so the SDK never sees that calls cross, and both ring."""

    names_invitee = False

    async def on_crossing(self, own: ClientCall, theirs: ClientCall) -> None:
        """`LegacyCallHandler`: already a call for this room, ignoring."""


class ElementAndroid(Client):
    """Element Classic Android and SchildiChat: UUIDs, candidates in events of their own, no end of candidates."""

    style = Style(candidates=False)
    lifetime_ms = 120_000
    oldest_ring_ms = 40_000
    names_invitee = False

    def new_call_id(self) -> str:
        return str(uuid.uuid4())

    def trickled(self) -> list[list[Json]]:
        return [[{"sdpMid": "0", "sdpMLineIndex": 0, "candidate": self.host_candidate()}]]

    def reads(self, event: Event) -> bool:
        """Reasons are an enum: another word, and the event is gone."""
        return event["content"].get("reason", "user_hangup") in KNOWN_REASONS


class ElementIos(Client):
    """Element Classic iOS: upper-case UUIDs, silence at the end of its invite, negotiation without a lifetime."""

    style = Style(candidates=False)
    invite_extras: ClassVar[Json] = {"capabilities": {"m.call.transferee": False}}
    answer_extras = invite_extras
    checks_party_of_hangup = False

    def new_call_id(self) -> str:
        return str(uuid.uuid4()).upper()

    def trickled(self) -> list[list[Json]]:
        return [[{"sdpMid": "0", "sdpMLineIndex": 0, "candidate": self.host_candidate()}]]

    def reads(self, event: Event) -> bool:
        """It crashes on a reject without a party."""
        return event["type"] != "m.call.reject" or bool(event["content"].get("party_id"))

    async def its_own_time_is_up(self, call: ClientCall) -> None:
        """`expireCallInvite` tells nobody."""
        self.end(call, "invite_timeout", by_peer=False)

    async def negotiate(self, call: ClientCall, sdp: str) -> None:
        """Without a lifetime."""
        await self.send(call, "m.call.negotiate", {"description": {"type": "offer", "sdp": sdp}})

    async def on_crossing(self, own: ClientCall, theirs: ClientCall) -> None:
        """No glare at all: CallKit shows two calls."""
        self.calls[theirs.call_id] = theirs


class Nheko(Client):
    """Nheko 0.11: one event with all candidates and no mid, no `a=msid`, and a hangup for any negotiate."""

    style = Style(
        mid="audio0", opus="OPUS/48000/2", g711=False, telephone_event=False, msid_line=False, candidates=False
    )
    lifetime_ms = 120_000

    def new_call_id(self) -> str:
        return f"c{int(time.time() * 1000)}{self.device}"

    def trickled(self) -> list[list[Json]]:
        lines = (
            self.host_candidate().replace("udp", "UDP"),
            "candidate:2 1 TCP 1015022079 127.0.0.1 9 typ host tcptype active",
            "candidate:3 1 UDP 2015363583 fe80::1 40000 typ host",
        )
        return [[{"sdpMLineIndex": 0, "sdpMid": "", "candidate": line} for line in lines]]

    def reads(self, event: Event) -> bool:
        """mtxclient takes a number for version 0, and throws when version 1 has no party."""
        return event["content"].get("version") == "1" and bool(event["content"].get("party_id"))

    async def on_answer(self, event: Event, content: Json) -> None:
        """It selects every answer that it sees while it has a call, whichever it is for."""
        if content["call_id"] not in self.calls and event["sender"] != self.user:
            if self._in_call():
                self.complain("an answer to another call, which it selects all the same")
            return
        if "opus" not in content["answer"]["sdp"].lower():
            self.complain("an answer without Opus")
        await super().on_answer(event, content)

    async def on_negotiate(self, event: Event, content: Json) -> None:
        """`acceptNegotiation` always fails, and it hangs up without a look at the call's id."""
        if self._in_call():
            self.complain("a negotiate, for which it hangs up")

    def _in_call(self) -> bool:
        return any(call.state is not CallState.ENDED for call in self.calls.values())

    async def on_crossing(self, own: ClientCall, theirs: ClientCall) -> None:
        if own.call_id > theirs.call_id:
            self.end(own, "replaced", by_peer=False)
            self.calls[theirs.call_id] = theirs
            await self.accept(theirs)


class Version0(Client):
    """A client from before parties: version 0 as a number, a hangup to refuse, and nobody is selected."""

    style = Style(candidates=False)
    names_invitee = False
    checks_party_of_hangup = False
    selects = False

    def new_call_id(self) -> str:
        return f"{time.time() * 1000}.{self.device}"

    def trickled(self) -> list[list[Json]]:
        return [[{"candidate": self.host_candidate(), "sdpMid": "audio", "sdpMLineIndex": 0}]]

    async def decline(self, call: ClientCall, **changes: Any) -> None:
        await self.hang_up(call)

    async def send(self, call: ClientCall, kind: str, content: Json) -> None:
        common = {"call_id": call.call_id, "version": 0}
        await self.homeserver.send_as(self.user, call.room_id, kind, {**common, **content})


ALL: tuple[type[Client], ...] = (JsSdk, ElementWeb, ElementAndroid, ElementIos, Nheko)
NEGOTIATING: tuple[type[Client], ...] = (JsSdk, ElementWeb, ElementAndroid, ElementIos)
"""Those that can change a call."""
