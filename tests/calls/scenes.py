"""Calls in the states that tests begin from."""

from typing import TypeVar

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import inbound, machine, outbound
from bridge.calls import matrix_events as mxev
from bridge.calls import media_events as medev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.parties import MatrixParty
from bridge.calls.times import CallTimes
from bridge.calls.way import Way
from bridge.core.ids import CallId, DialogKey, MatrixCallId, PartyId, RoomId, SipCallId, TrunkName, UserId

C = TypeVar("C")

ALICE = UserId("@alice:example.org")
MALLORY = UserId("@mallory:example.org")
GHOST = UserId("@_sip_+15550100:example.org")
ROOM = RoomId("!room:example.org")
PHONE = PartyId("PHONE")
LAPTOP = PartyId("LAPTOP")
BRIDGE = PartyId("BRIDGE")
THEIR_CALL = MatrixCallId("1795341941987Gwfu")
OUR_CALL = MatrixCallId("zOURCALL")
DIALOG = DialogKey("dialog-1")
OTHER_DIALOG = DialogKey("dialog-2")
TIMES = CallTimes()
CANDIDATE = mxev.Candidate(candidate="candidate:1 1 udp 1 127.0.0.1 9 typ host", sdp_mid="0", sdp_m_line_index=0)


def outgoing(*, version: int = 1, remaining_s: float = 60.0) -> Call:
    """Alice's invite has arrived, nothing has been decided."""
    return outbound.begin(
        call_id=CallId("call-1"),
        ways=(Way(trunk=TrunkName("carrier"), number="+15550100", caller=""),),
        matrix=MatrixParty(
            call_id=THEIR_CALL,
            room_id=ROOM,
            ghost=GHOST,
            user=ALICE,
            own_party=BRIDGE,
            peer_party=LAPTOP if version else None,
            version=version,
        ),
        sdp="alice offer",
        remaining_s=remaining_s,
        times=TIMES,
        now=0.0,
        wall=1_000_000.0,
    )


def dialling(**options: int) -> Call:
    call = outgoing(**options)
    run(call, ev.CallPermitted(), medev.SipOfferReady(sdp="our offer"))
    call.dialog = DIALOG
    return call


def talking() -> Call:
    """Alice's call to the phone is up."""
    call = dialling()
    run(call, sipev.SipAnswered(sdp="phone answer"), medev.MatrixAnswerReady(sdp="our answer"), medev.MediaConnected())
    return call


def incoming(sdp: str | None = "phone offer") -> Call:
    """The phone's INVITE has arrived, nothing has been decided."""
    return inbound.begin(
        call_id=CallId("call-2"),
        trunk=TrunkName("carrier"),
        number="+15550100",
        dialog=DIALOG,
        sdp=sdp,
        user=ALICE,
        matrix_call_id=OUR_CALL,
        own_party=BRIDGE,
        times=TIMES,
        now=0.0,
        wall=1_000_000.0,
    )


def offering(sdp: str | None = "phone offer") -> Call:
    call = incoming(sdp)
    run(call, ev.CallPermitted(), mxev.PortalReady(room_id=ROOM, ghost=GHOST, user_joined=True))
    return call


def ringing(sdp: str | None = "phone offer") -> Call:
    """Alice's devices ring."""
    call = offering(sdp)
    run(call, medev.MatrixOfferReady(sdp="our offer"), mxev.InviteDelivered())
    return call


def run(call: Call, *events: ev.Event, now: float = 1.0) -> list[cmd.Command]:
    """Give the call events one after the other; returns all its commands."""
    return [command for event in events for command in machine.handle(call, event, now)]


def answer(party: PartyId | None = LAPTOP, *, user: UserId = ALICE, version: int = 1) -> mxev.AnswerReceived:
    return mxev.AnswerReceived(matrix_call_id=OUR_CALL, user=user, party=party, version=version, sdp="alice answer")


def hangup(
    call_id: MatrixCallId = THEIR_CALL,
    *,
    user: UserId = ALICE,
    party: PartyId | None = LAPTOP,
    reason: str | None = None,
) -> mxev.HangupReceived:
    return mxev.HangupReceived(matrix_call_id=call_id, user=user, party=party, reason=reason)


def reject(reason: str | None = None, *, user: UserId = ALICE) -> mxev.RejectReceived:
    return mxev.RejectReceived(matrix_call_id=OUR_CALL, user=user, party=PHONE, reason=reason)


def candidates(party: PartyId | None, call_id: MatrixCallId = OUR_CALL) -> mxev.CandidatesReceived:
    return mxev.CandidatesReceived(matrix_call_id=call_id, user=ALICE, party=party, candidates=(CANDIDATE,))


def crossing(
    call_id: MatrixCallId = THEIR_CALL, *, user: UserId = ALICE, room_id: RoomId = ROOM
) -> mxev.CrossingInvite:
    return mxev.CrossingInvite(
        matrix_call_id=call_id,
        room_id=room_id,
        ghost=GHOST,
        user=user,
        party=LAPTOP,
        version=1,
        sdp="alice offer",
    )


def sip_crossing(sdp: str | None = "phone offer") -> sipev.CrossingSipCall:
    return sipev.CrossingSipCall(dialog=OTHER_DIALOG, trunk=TrunkName("pbx"), sip_call_id=SipCallId("theirs"), sdp=sdp)


def kinds(commands: list[cmd.Command]) -> list[type[object]]:
    return [type(command) for command in commands]


def only(commands: list[cmd.Command], kind: type[C]) -> C:
    """The one command of a kind."""
    found = [command for command in commands if isinstance(command, kind)]
    assert len(found) == 1, commands
    return found[0]
