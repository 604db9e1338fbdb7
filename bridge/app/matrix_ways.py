"""Where what a call says to Matrix goes: as whom, into which room, and behind what in which queue."""

from dataclasses import dataclass

from bridge.app.lane import Lane, Operation
from bridge.app.live_call import LiveCall
from bridge.calls import handover_commands as hcmd
from bridge.calls import hunt_commands as huntcmd
from bridge.calls import matrix_commands as mxcmd
from bridge.core.ids import RoomId, UserId
from bridge.matrix.call_content import CallIdentity

OneEvent = (
    mxcmd.SendNegotiateAnswer
    | mxcmd.SendSelectAnswer
    | mxcmd.SendReject
    | mxcmd.SendHangup
    | hcmd.RejectReplacement
    | mxcmd.SendNotice
)
OfMember = huntcmd.AskMemberPresence | huntcmd.OpenMemberRoom | huntcmd.InviteMember
MatrixCommand = mxcmd.MatrixCommand | hcmd.RejectReplacement | OfMember


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """As whom, in which call and in which room something is said, fixed when it is decided."""

    identity: CallIdentity
    room_id: RoomId | None
    ghost: UserId | None


def _lanes(live: LiveCall, command: MatrixCommand) -> tuple[Lane, Lane | None]:
    """The queue that a command belongs into, and another that it has to pass first, if any.

    What members are told comes behind what is written down of the call: the next process must know who rings.
    """
    match command:
        case mxcmd.AskPresence() | mxcmd.OpenPortal():
            return live.portal_lane, None
        case huntcmd.AskMemberPresence() | huntcmd.OpenMemberRoom():
            return live.ring_lane(command.matrix_call_id), None
        case huntcmd.InviteMember():
            return live.ring_lane(command.matrix_call_id), live.matrix_lane
        case _:
            other = _other(command)
            ring = live.ring_lanes.get(other.call_id) if other is not None else None
            return (live.matrix_lane, None) if ring is None else (ring, live.matrix_lane)


def submit(live: LiveCall, command: MatrixCommand, operation: Operation) -> None:
    """Queue what a command is carried out by."""
    lane, first = _lanes(live, command)
    if first is None:
        lane.submit(operation)
    else:
        first.submit(lambda: _pass_on(lane, operation))


async def _pass_on(lane: Lane, operation: Operation) -> None:
    lane.submit(operation)


def _other(command: MatrixCommand) -> mxcmd.OtherMatrixCall | None:
    """The Matrix call that a command names, where that is not the call's own."""
    match command:
        case mxcmd.SendSelectAnswer() | mxcmd.SendReject() | mxcmd.SendHangup() | mxcmd.SendNotice():
            return command.other
        case huntcmd.InviteMember():
            return mxcmd.OtherMatrixCall(
                call_id=command.matrix_call_id, room_id=command.room_id, ghost=command.ghost, version=1
            )
        case _:
            return None


def origin_of(live: LiveCall, command: MatrixCommand) -> Origin:
    """The call's Matrix side as it is now, or the other Matrix call that the command names."""
    matrix, other = live.call.matrix, _other(command)
    identity = CallIdentity(
        call_id=other.call_id if other else matrix.call_id,
        party_id=matrix.own_party,
        version=other.version if other else matrix.version,
    )
    return Origin(
        identity=identity,
        room_id=other.room_id if other else matrix.room_id,
        ghost=other.ghost if other else matrix.ghost,
    )
