"""What the tables of a call are made of: their rows, and the steps that several of them take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.state import EndedBy, MatrixLeg, State, Timer
from bridge.core.verdict import MatrixReason

Handler = Callable[[Call, Any, float], list[cmd.Command]]


@dataclass(frozen=True, slots=True)
class Row:
    """What an event does in a state: the handler, and every state that it may lead to (for the diagrams and a test)."""

    act: Handler
    to: tuple[State, ...]


Table = Mapping[tuple[State, type[Any]], Row]


def ignore(call: Call, event: object, now: float) -> list[cmd.Command]:
    """The event is expected here and means nothing."""
    return []


def abort(call: Call, event: ev.Aborted, now: float) -> list[cmd.Command]:
    return call.end(event.verdict, EndedBy.BRIDGE, now)


def refuse(call: Call, event: ev.CallRefused | medev.MediaRefused, now: float) -> list[cmd.Command]:
    """The call cannot be made or cannot go on."""
    return call.end(event.verdict, EndedBy.BRIDGE, now)


def media_connected_early(call: Call, event: medev.MediaConnected, now: float) -> list[cmd.Command]:
    """Audio is up before signalling is through: remembered for `Call.connect`."""
    call.at.connected = now
    call.deadlines.pop(Timer.CONNECT, None)
    return []


def never_answered(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """The media session neither wrote the answer nor said that it cannot."""
    return call.end(outcomes.MEDIA_FAILED, EndedBy.BRIDGE, now) if event.timer is Timer.ANSWER else []


def media_lost(call: Call, event: medev.MediaLost, now: float) -> list[cmd.Command]:
    """Where the client closed its side, its hangup was lost on the way (`user_hangup`); else it did not mean to."""
    if event.reason is MatrixReason.UNKNOWN_ERROR:
        return call.end(outcomes.MEDIA_FAILED, EndedBy.BRIDGE, now)
    ended_by = EndedBy.MATRIX if event.reason is MatrixReason.USER_HANGUP else EndedBy.BRIDGE
    return call.end(outcomes.of_matrix_hangup(event.reason, answered=call.answered), ended_by, now)


def matrix_reoffered(call: Call, event: mxev.MatrixReoffered, now: float) -> list[cmd.Command]:
    """Hold, resume or ICE restart by the client."""
    if not call.is_peer(event.user, event.party):
        return []
    return [medcmd.AnswerMatrixReoffer(matrix_sdp=event.sdp)]


WHILE_ANSWERING: dict[type[object], Row] = {
    ev.TimerFired: Row(never_answered, (State.ENDED,)),
    medev.MediaConnected: Row(media_connected_early, ()),
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
}


def member_left(call: Call, event: mxev.MemberLeft, now: float) -> list[cmd.Command]:
    """Leaving the room is hanging up (specification, VoIP, "behaviour on room leave")."""
    if event.user not in (call.matrix.user, call.matrix.ghost):
        return []
    if event.room_id is not None and event.room_id != call.matrix.room_id:
        return []
    call.matrix_leg = MatrixLeg.ENDED
    verdict = outcomes.hung_up(unheard_s=call.unheard_s(now)) if call.answered else outcomes.ROOM_LEFT
    return call.end(verdict, EndedBy.MATRIX, now)
