"""The calls of a bridge in such a story: real state machines, and around them only what tells whose an event is."""

from dataclasses import dataclass, field
from typing import Protocol, assert_never

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import inbound, machine, outbound, outcomes
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.parties import MatrixParty
from bridge.calls.state import Direction, State
from bridge.calls.way import Way
from bridge.core.ids import CallId, DialogKey, MatrixCallId, SipCallId, TrunkName
from tests.calls.crossing_world import LANE_S, MEDIA_S, ROOM_S, TRUNK_S, InRoom, Phone, World
from tests.calls.scenes import ALICE, BRIDGE, GHOST, ROOM, TIMES

TRUNK = TrunkName("carrier")
CONNECT_S = 1.0
_DIALLED = (State.PREPARING, State.DIALLING)
_OFFERED = (State.LOCATING, State.AWAITING_JOIN, State.OFFERING, State.RINGING, State.REPLACED)


class Side(Protocol):
    """Our side of a story."""

    @property
    def calls(self) -> list[Call]: ...

    @property
    def trunk(self) -> "Trunk": ...

    def in_room(self, event: InRoom) -> None: ...

    def incoming(self, dialog: DialogKey) -> None: ...

    def of_dialog(self, dialog: DialogKey, event: ev.Event) -> None: ...


@dataclass(slots=True)
class Trunk:
    """The user agent: what our side knows of each dialog. It never lets a cancelled call be answered."""

    world: World
    phone: Phone
    bridge: Side = field(init=False)
    legs: dict[DialogKey, str] = field(default_factory=dict)
    ended_by_bridge: list[DialogKey] = field(default_factory=list)

    def received(self, dialog: DialogKey, message: str) -> None:
        leg = self.legs.get(dialog)
        match message:
            case "INVITE":
                self.legs[dialog] = "incoming"
                self.bridge.incoming(dialog)
            case "CANCEL" if leg == "incoming":
                self._over(dialog, sipev.SipCancelled())
            case "BYE" if leg == "up":
                self._over(dialog, sipev.SipEnded())
            case "180" if leg == "placed":
                self.bridge.of_dialog(dialog, sipev.SipProgress(status=180))
            case "200" if leg == "placed":
                self.legs[dialog] = "up"
                self.bridge.of_dialog(dialog, sipev.SipAnswered(sdp="phone"))
            case "200" if leg == "cancelled":
                self._send(dialog, "BYE")
                self._over(dialog, sipev.SipFailed(status=487))
            case "486" | "487" if leg in ("placed", "cancelled"):
                self._over(dialog, sipev.SipFailed(status=int(message)))

    def _over(self, dialog: DialogKey, event: ev.Event) -> None:
        self.legs[dialog] = "over"
        self.bridge.of_dialog(dialog, event)

    def place(self, dialog: DialogKey) -> None:
        self.legs[dialog] = "placed"
        self._send(dialog, "INVITE")

    def accept(self, dialog: DialogKey) -> None:
        assert self.legs[dialog] == "incoming"
        self.legs[dialog] = "up"
        self._send(dialog, "200")

    def end(self, dialog: DialogKey, message: str) -> None:
        """CANCEL, a refusal or BYE: once, and what fits."""
        fits = {"CANCEL": "placed", "reject": "incoming", "BYE": "up"}
        assert self.legs[dialog] == fits[message], (dialog, message, self.legs[dialog])
        self.legs[dialog] = "cancelled" if message == "CANCEL" else "over"
        self.ended_by_bridge.append(dialog)
        self._send(dialog, message)

    def _send(self, dialog: DialogKey, message: str) -> None:
        self.world.story.append(f"{self.world.now:.3f} bridge {message} {dialog}")
        self.world.on("to the phone", TRUNK_S, lambda: self.phone.receive(dialog, message))


@dataclass(slots=True)
class Bridge:
    """`trusted` is a trunk whose caller numbers may take over a call, `joined` a user who is in the room."""

    world: World
    trunk: Trunk
    trusted: bool
    joined: bool
    calls: list[Call] = field(default_factory=list)
    _of_matrix_call: dict[MatrixCallId, Call] = field(default_factory=dict)
    _of_dialog: dict[DialogKey, Call] = field(default_factory=dict)
    _buried: set[MatrixCallId] = field(default_factory=set)

    # What comes in, and whose it is.

    def in_room(self, event: InRoom) -> None:
        if event.kind == "invite":
            if event.call_id not in self._buried:
                self._invited(event)
        elif (call := self._of_matrix_call.get(event.call_id)) is not None:
            self.feed(call, _translated(event))
        elif event.kind == "hangup":
            self._buried.add(event.call_id)

    def _invited(self, event: InRoom) -> None:
        waiting = [call for call in self._live() if call.direction is Direction.INBOUND and call.state in _OFFERED]
        if waiting:
            call = min(waiting, key=lambda call: (call.state is not State.REPLACED, call.rival is not None))
            self.feed(call, _crossing(event))
            return
        busy = any(call.at.answered is None or call.at.answered > event.sent_at for call in self._live())
        call = outbound.begin(
            call_id=CallId(f"of {event.call_id}"),
            ways=(Way(trunk=TRUNK, number="+15550100", caller=""),),
            matrix=MatrixParty(
                call_id=event.call_id, room_id=ROOM, ghost=GHOST, user=ALICE, own_party=BRIDGE, peer_party=event.sender
            ),
            sdp="offer",
            remaining_s=60.0,
            times=TIMES,
            now=self.world.now,
            wall=0.0,
        )
        self._begin(call, ev.CallRefused(verdict=outcomes.BUSY) if busy else ev.CallPermitted())

    def incoming(self, dialog: DialogKey) -> None:
        dialling = [call for call in self._live() if call.direction is Direction.OUTBOUND and not call.answered]
        crossing = next((call for call in dialling if call.state in _DIALLED and self.trusted), None)
        if crossing is not None:
            event = sipev.CrossingSipCall(dialog=dialog, trunk=TRUNK, sip_call_id=SipCallId(dialog), sdp="offer")
            self.feed(crossing, event)
            return
        call = inbound.begin(
            call_id=CallId(f"of {dialog}"),
            trunk=TRUNK,
            number="+15550100",
            dialog=dialog,
            sdp="offer",
            user=ALICE,
            matrix_call_id=MatrixCallId(f"z{dialog}"),
            own_party=BRIDGE,
            times=TIMES,
            now=self.world.now,
            wall=0.0,
        )
        self._of_dialog[dialog] = call
        self._begin(call, ev.CallRefused(verdict=outcomes.BUSY) if dialling else ev.CallPermitted())

    def of_dialog(self, dialog: DialogKey, event: ev.Event) -> None:
        call = self._of_dialog.get(dialog)
        if call is not None and call.dialog == dialog:
            self.feed(call, event)

    def _live(self) -> list[Call]:
        return [call for call in self.calls if not call.ended]

    def _begin(self, call: Call, first: ev.Event) -> None:
        self.calls.append(call)
        self._of_matrix_call[call.matrix.call_id] = call
        self.feed(call, first)

    def feed(self, call: Call, event: ev.Event) -> None:
        for command in machine.handle(call, event, self.world.now):
            self._carry_out(call, command)
        deadline = call.next_deadline()
        if deadline is not None:
            self.world.at(deadline, lambda: self._expire(call))

    def _expire(self, call: Call) -> None:
        for timer in call.due(self.world.now):
            self.feed(call, ev.TimerFired(timer=timer))

    # What a call wants.

    def _carry_out(self, call: Call, command: cmd.Command) -> None:
        match command:
            case cmd.FollowMatrixCall():
                self._of_matrix_call[command.matrix_call_id] = call
            case cmd.FollowDialog():
                self._of_dialog[command.dialog] = call
            case mxcmd.OpenPortal():
                self._open_portal(call)
            case (
                medcmd.WriteSipOffer()
                | medcmd.WriteMatrixAnswer()
                | medcmd.WriteMatrixOffer()
                | medcmd.WriteSipAnswer()
            ):
                self._media(call, _written(command))
            case medcmd.WriteBothAnswers():
                assert command.fresh is (call.direction is Direction.OUTBOUND)
                self._media(call, medev.BothAnswersReady(matrix_sdp="answer", sip_sdp="answer"))
            case (
                mxcmd.SendInvite()
                | mxcmd.SendAnswer()
                | mxcmd.SendSelectAnswer()
                | mxcmd.SendReject()
                | mxcmd.SendHangup()
            ):
                self._send(call, command)
            case _:
                self._steer(call, command)

    def _steer(self, call: Call, command: cmd.Command) -> None:
        dialog = call.dialog or DialogKey("")
        match command:
            case sipcmd.PlaceSipCall():
                call.dialog = DialogKey(f"to the phone {len(self.trunk.legs)}")
                self._of_dialog[call.dialog] = call
                self.trunk.place(call.dialog)
            case sipcmd.AcceptSip():
                self.trunk.accept(dialog)
                self._connect(call)
            case sipcmd.RejectSip():
                self.trunk.end(dialog, "reject")
            case sipcmd.CancelSip():
                self.trunk.end(command.dialog or dialog, "CANCEL")
            case sipcmd.ByeSip():
                self.trunk.end(dialog, "BYE")
            case _:
                pass

    def _open_portal(self, call: Call) -> None:
        ready = mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=self.joined)
        self.world.on(f"portal {call.call_id}", 2 * ROOM_S, lambda: self.feed(call, ready))
        if not self.joined:
            self.world.at(self.world.now + 3.0, lambda: self.feed(call, mxev.MemberJoined(user=ALICE)))

    def _media(self, call: Call, event: ev.Event) -> None:
        self.world.on(f"media {call.call_id}", MEDIA_S, lambda: self.feed(call, event))

    def _connect(self, call: Call) -> None:
        """Audio comes up a while after both sides have what they need."""

        def connected() -> None:
            if not call.ended:
                self.feed(call, medev.MediaConnected())

        self.world.at(self.world.now + self.world.chance.uniform(0.1, CONNECT_S), connected)

    def _send(
        self,
        call: Call,
        command: mxcmd.SendInvite | mxcmd.SendAnswer | mxcmd.SendSelectAnswer | mxcmd.SendReject | mxcmd.SendHangup,
    ) -> None:
        """In the order in which it was decided, and an invite only if it is still meant when its turn comes."""
        other = (
            command.other if isinstance(command, mxcmd.SendSelectAnswer | mxcmd.SendReject | mxcmd.SendHangup) else None
        )
        call_id = other.call_id if other else call.matrix.call_id

        def send() -> None:
            match command:
                case mxcmd.SendInvite() if call.ended or call.matrix.call_id != call_id:
                    return
                case mxcmd.SendInvite():
                    self.world.say(InRoom(sender=None, kind="invite", call_id=call_id))
                    self.world.on(f"delivery {call.call_id}", ROOM_S, lambda: self.feed(call, mxev.InviteDelivered()))
                case mxcmd.SendAnswer():
                    self.world.say(InRoom(sender=None, kind="answer", call_id=call_id))
                case mxcmd.SendSelectAnswer():
                    selected = command.selected_party
                    self.world.say(InRoom(sender=None, kind="select_answer", call_id=call_id, selected=selected))
                case mxcmd.SendReject():
                    self.world.say(InRoom(sender=None, kind="reject", call_id=call_id, reason=command.reason))
                case mxcmd.SendHangup():
                    self.world.say(InRoom(sender=None, kind="hangup", call_id=call_id, reason=command.reason))
                case _:
                    assert_never(command)

        self.world.on(f"lane {call.call_id}", LANE_S, send)
        if isinstance(command, mxcmd.SendAnswer) and call.direction is Direction.OUTBOUND:
            self._connect(call)


def _written(
    command: medcmd.WriteSipOffer | medcmd.WriteMatrixAnswer | medcmd.WriteMatrixOffer | medcmd.WriteSipAnswer,
) -> ev.Event:
    match command:
        case medcmd.WriteSipOffer():
            return medev.SipOfferReady(sdp="offer")
        case medcmd.WriteMatrixAnswer():
            return medev.MatrixAnswerReady(sdp="answer")
        case medcmd.WriteMatrixOffer():
            return medev.MatrixOfferReady(sdp="offer")
        case medcmd.WriteSipAnswer():
            return medev.SipAnswerReady(sdp="answer")


def _crossing(event: InRoom) -> mxev.CrossingInvite:
    return mxev.CrossingInvite(
        matrix_call_id=event.call_id,
        room_id=ROOM,
        ghost=GHOST,
        user=ALICE,
        party=event.sender,
        version=1,
        sdp="offer",
    )


def _translated(event: InRoom) -> mxev.OfMatrixCall:
    call_id, party = event.call_id, event.sender
    match event.kind:
        case "answer":
            return mxev.AnswerReceived(matrix_call_id=call_id, user=ALICE, party=party, version=1, sdp="answer")
        case "reject":
            return mxev.RejectReceived(matrix_call_id=call_id, user=ALICE, party=party, reason=event.reason)
        case "hangup":
            return mxev.HangupReceived(matrix_call_id=call_id, user=ALICE, party=party, reason=event.reason)
        case _:
            return mxev.AnswerSelected(matrix_call_id=call_id, user=ALICE, party=party, selected_party=BRIDGE)
