"""What all clients have in common: the legacy call of the specification (VoIP, version 1) as one device sees it."""

import asyncio
import enum
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from bridge.core.ids import RoomId, UserId
from tests.clients.demands import faults
from tests.clients.descriptions import Style, describe, flow_of, host_candidate
from tests.homeserver import ScriptedHomeserver
from tests.homeserver_model import Event
from tests.patience import PATIENCE_S

Json = Mapping[str, Any]


class CallState(enum.Enum):
    """As the client shows it."""

    RINGING_OUT = "invite sent"
    RINGING = "ringing"
    CONNECTING = "connecting"
    ENDED = "ended"


@dataclass(slots=True, kw_only=True, eq=False)
class ClientCall:
    """One call as one device knows it."""

    call_id: str
    room_id: RoomId
    outgoing: bool
    state: CallState
    peer_party: str = ""
    peer_sdp: str = ""
    selected: bool = False
    """Whether `m.call.select_answer` named this device."""
    end: str = ""
    """Why it ended: a reason, or "elsewhere"."""
    ended_by_peer: bool = False
    networks: int = 1
    """How many networks the device has been on in this call."""


class Client:
    """One device of a user. `async with` logs it in; then it sees the events of the user's rooms and reacts.

    `complaints` collects whatever this client could not have borne; leaving the context with any is a failure.
    """

    style: ClassVar[Style] = Style()
    lifetime_ms: ClassVar[int] = 60_000
    shortest_ring_ms: ClassVar[int] = 0
    """An invite with less than this left is not shown."""
    oldest_ring_ms: ClassVar[int] = 600_000
    names_invitee: ClassVar[bool] = True
    invite_extras: ClassVar[Json] = {}
    answer_extras: ClassVar[Json] = {}
    heeds_early_hangup: ClassVar[bool] = True
    """Whether a hangup before an answer ends a call that it placed."""
    checks_party_of_hangup: ClassVar[bool] = True
    selects: ClassVar[bool] = True
    """Whether it says whose answer it took."""

    def __init__(self, homeserver: ScriptedHomeserver, user: UserId, device: str, *, port: int) -> None:
        self.homeserver = homeserver
        self.user = user
        self.device = device
        self.calls: dict[str, ClientCall] = {}
        self.complaints: list[str] = []
        self._peers: dict[str, tuple[str, str]] = {}
        """Who spoke in each call: always the same ghost, as the same party."""
        self._port = port
        self._numbers = itertools.count(1)
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._reactions: dict[str, Callable[[Event, Json], Any]] = {
            "m.call.invite": self.on_invite,
            "m.call.answer": self.on_answer,
            "m.call.select_answer": self.on_select_answer,
            "m.call.candidates": self.on_candidates,
            "m.call.reject": self.on_reject,
            "m.call.hangup": self.on_hangup,
            "m.call.negotiate": self.on_negotiate,
        }

    async def __aenter__(self) -> Self:
        self.homeserver.watchers.append(self._inbox.put_nowait)
        self._work = asyncio.create_task(self._sync_forever())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.homeserver.watchers.remove(self._inbox.put_nowait)
        self._work.cancel()
        results = await asyncio.gather(self._work, return_exceptions=True)
        if kind is None:
            assert isinstance(results[0], asyncio.CancelledError), results
            assert not self.complaints, self.complaints

    # --- what its user does -----------------------------------------------------------------------------------------

    async def place_call(self, room_id: RoomId, ghost: UserId, **changes: Any) -> ClientCall:
        """Call the phone behind `ghost`."""
        call = self.new_call(room_id)
        content: dict[str, Any] = {
            "lifetime": self.lifetime_ms,
            "offer": {"type": "offer", "sdp": self.describe(call, "actpass")},
            **({"invitee": ghost} if self.names_invitee else {}),
            **self.invite_extras,
            **changes,
        }
        await self.send(call, "m.call.invite", content)
        await self.send_candidates(call)
        return call

    async def accept(self, call: ClientCall) -> None:
        """Take a call that rings."""
        assert call.state is CallState.RINGING, call
        call.state = CallState.CONNECTING
        answer = {"type": "answer", "sdp": self.describe(call, "active")}
        await self.send(call, "m.call.answer", {"answer": answer, **self.answer_extras})
        await self.send_candidates(call)

    async def decline(self, call: ClientCall, **changes: Any) -> None:
        """Refuse a call that rings."""
        await self.send(call, "m.call.reject", changes)
        self.end(call, "user_hangup", by_peer=False)

    async def hang_up(self, call: ClientCall) -> None:
        """End a call, whatever it has come to."""
        await self.send(call, "m.call.hangup", {"reason": "user_hangup"})
        self.end(call, "user_hangup", by_peer=False)

    async def hold(self, call: ClientCall, *, flow: str = "sendonly") -> None:
        """Hold the call, or with `sendrecv` go on."""
        await self.negotiate(call, self.describe(call, "actpass", flow=flow))

    async def transfer(
        self, call: ClientCall, target: UserId, *, to: str = "create_call", new_call_id: str = ""
    ) -> None:
        """Leave the other side to `target` (MSC2747), and end the call without a word, as all do that can."""
        content = {
            "replacement_id": self.new_call_id(),
            "target_user": {"id": target, "display_name": "Somebody"},
            to: new_call_id or self.new_call_id(),
        }
        await self.send(call, "m.call.replaces", content)
        self.end(call, "transferred", by_peer=False)

    async def its_own_time_is_up(self, call: ClientCall) -> None:
        """The client's own timer for an unanswered call."""
        await self.send(call, "m.call.hangup", {"reason": "invite_timeout"})
        self.end(call, "invite_timeout", by_peer=False)

    # --- what tests wait for ------------------------------------------------------------------------------------

    async def rings(self) -> ClientCall:
        """Wait for a call that rings."""
        await self.until(lambda: any(call.state is CallState.RINGING for call in self.calls.values()))
        return next(call for call in self.calls.values() if call.state is CallState.RINGING)

    async def until_state(self, call: ClientCall, state: CallState) -> None:
        """Wait until a call has come to `state`."""
        await self.until(lambda: call.state is state)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for anything; looked at after each event that the client has seen."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: true() or self._work.done())
        except TimeoutError:
            raise AssertionError(f"{type(self).__name__} saw {self.calls}, complaints {self.complaints}") from None
        if self._work.done() and not self._work.cancelled():
            await self._work

    # --- what the kinds of clients refine -----------------------------------------------------------------------

    def new_call(self, room_id: RoomId) -> ClientCall:
        """A call that is about to be placed."""
        call = ClientCall(call_id=self.new_call_id(), room_id=room_id, outgoing=True, state=CallState.RINGING_OUT)
        self.calls[call.call_id] = call
        return call

    def new_call_id(self) -> str:
        """As this client forms them."""
        return f"{int(time.time() * 1000)}{self.device}{next(self._numbers)}"

    def trickled(self) -> list[list[Json]]:
        """Candidates that follow the description, by event."""
        return []

    def reads(self, event: Event) -> bool:
        """Whether the client's parser makes anything of an event; else it is as if it had never come."""
        return True

    async def on_invite(self, event: Event, content: Json) -> None:
        age = time.time() * 1000 - event["origin_server_ts"]
        if content.get("invitee", self.user) != self.user or event["sender"] == self.user:
            return
        if age > min(content["lifetime"] - self.shortest_ring_ms, self.oldest_ring_ms):
            self.complain(f"too late to ring: {age:.0f} ms old")
            return
        call = ClientCall(
            call_id=content["call_id"],
            room_id=event["room_id"],
            outgoing=False,
            state=CallState.RINGING,
            peer_party=content["party_id"],
            peer_sdp=content["offer"]["sdp"],
        )
        pending = [own for own in self.calls.values() if self._is_pending(own, call.room_id)]
        if not pending:
            self.calls[call.call_id] = call
        else:
            await self.on_crossing(pending[0], call)

    async def on_crossing(self, own: ClientCall, theirs: ClientCall) -> None:
        """An invite while a call of its own is unanswered: most clients ignore it."""

    async def on_answer(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is None:
            return
        if event["sender"] == self.user:
            if call.state is CallState.RINGING:
                self.end(call, "elsewhere", by_peer=False)
        elif call.state is CallState.RINGING_OUT:
            call.state = CallState.CONNECTING
            call.peer_party, call.peer_sdp = content["party_id"], content["answer"]["sdp"]
            if self.selects:
                await self.send(call, "m.call.select_answer", {"selected_party_id": call.peer_party})
        elif call.state is CallState.CONNECTING or call.ended_by_peer:
            self.complain(f"an answer to a call that is {call.state.value}")

    async def on_select_answer(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is None or call.outgoing or call.state is CallState.ENDED:
            return
        if content["selected_party_id"] == self.device:
            call.selected = True
        else:
            self.end(call, "elsewhere", by_peer=False)

    async def on_candidates(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is not None and call.state is CallState.RINGING_OUT and event["sender"] != self.user:
            self.complain("candidates before the answer, which are lost")

    async def on_reject(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is None:
            return
        if event["sender"] == self.user:
            if call.state is CallState.RINGING:
                self.end(call, "elsewhere", by_peer=False)
        elif call.state is CallState.RINGING_OUT:
            self.end(call, content.get("reason", "user_hangup"), by_peer=True)
        elif call.state is not CallState.ENDED:
            self.complain(f"a reject of a call that is {call.state.value}, which is ignored")

    async def on_hangup(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is None or event["sender"] == self.user:
            return
        if call.state is CallState.ENDED:
            if not self._crossed(call):
                self.complain("a hangup of a call that is over")
        elif call.state is CallState.RINGING_OUT and not self.heeds_early_hangup:
            self.complain("a hangup before the answer, which is ignored")
        elif call.peer_party and self.checks_party_of_hangup and content["party_id"] != call.peer_party:
            self.complain("a hangup of another party, which is ignored")
        else:
            self.end(call, content.get("reason", "user_hangup"), by_peer=True)

    async def on_negotiate(self, event: Event, content: Json) -> None:
        call = self.calls.get(content["call_id"])
        if call is None or event["sender"] == self.user:
            return
        if call.state is not CallState.CONNECTING:
            self.complain(f"a negotiate in a call that is {call.state.value}")
        elif content["party_id"] != call.peer_party:
            self.complain("a negotiate of another party")
        else:
            call.peer_sdp = content["description"]["sdp"]

    # --- machinery ------------------------------------------------------------------------------------------------

    def complain(self, what: str) -> None:
        self.complaints.append(what)

    def end(self, call: ClientCall, reason: str, *, by_peer: bool) -> None:
        """A call is over; only its first end counts."""
        if call.state is not CallState.ENDED:
            call.state, call.end, call.ended_by_peer = CallState.ENDED, reason, by_peer

    def describe(
        self, call: ClientCall, setup: str, *, flow: str = "sendrecv", restart: bool = False, video: bool = False
    ) -> str:
        """A description of this client's kind."""
        call.networks += restart
        return describe(
            self.style,
            setup=setup,
            port=self._port,
            stream=f"of{self.device}",
            flow=flow,
            network=call.networks,
            video=video,
        )

    def is_held(self, call: ClientCall) -> bool:
        """Whether the other side has understood that the call is on hold."""
        return flow_of(call.peer_sdp) in ("recvonly", "inactive")

    def host_candidate(self) -> str:
        return host_candidate(self._port)

    async def send(self, call: ClientCall, kind: str, content: Json) -> None:
        common = {"call_id": call.call_id, "version": "1", "party_id": self.device}
        await self.homeserver.send_as(self.user, call.room_id, kind, {**common, **content})

    async def negotiate(self, call: ClientCall, sdp: str) -> None:
        """Offer a change."""
        description = {"type": "offer", "sdp": sdp}
        await self.send(call, "m.call.negotiate", {"description": description, "lifetime": self.lifetime_ms})

    async def send_candidates(self, call: ClientCall) -> None:
        for batch in self.trickled():
            await self.send(call, "m.call.candidates", {"candidates": batch})

    def _is_pending(self, call: ClientCall, room_id: RoomId) -> bool:
        return call.outgoing and call.room_id == room_id and call.state is CallState.RINGING_OUT

    def _crossed(self, call: ClientCall) -> bool:
        """Both sides may end a call at the same moment."""
        return not call.ended_by_peer

    async def _sync_forever(self) -> None:
        while True:
            event = await self._inbox.get()
            await self._take(event)
            async with self._changed:
                self._changed.notify_all()

    def _concerns_us(self, event: Event) -> bool:
        """Whether an event is of a ghost or another device of the user, in a room that the user has joined."""
        if self.homeserver.rooms[event["room_id"]].membership(self.user) != "join":
            return False
        if event["sender"] == self.user:
            return bool(event["content"].get("party_id") != self.device)
        return self.homeserver.is_ghost(event["sender"])

    async def _take(self, event: Event) -> None:
        """One event of the timeline."""
        kind, content = event["type"], event["content"]
        reaction = self._reactions.get(kind)
        if reaction is None or not self._concerns_us(event):
            return
        if self.homeserver.is_ghost(event["sender"]):
            self.complaints += faults(kind, content)
            speaker = (event["sender"], content["party_id"])
            if self._peers.setdefault(content["call_id"], speaker) != speaker:
                self.complain(f"{kind} by another party than before")
        if self.reads(event):
            await reaction(event, content)
        elif self.homeserver.is_ghost(event["sender"]):
            self.complain(f"an unreadable {kind}: {content}")
