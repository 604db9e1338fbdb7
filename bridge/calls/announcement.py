"""The bridge speaks to a user itself, who hears why there is no call, or why there is none any more.

A call that is refused is answered with nobody but the bridge on the line. One that goes on and is ended by a limit
loses its phone first, so that nothing of what is said costs anything; its user hears the rest. The sentence stands in
the room before it is spoken, and whatever goes wrong with the sound ends the call as if there had been none.
"""

from bridge.calls import announcement_commands as acmd
from bridge.calls import commands as cmd
from bridge.calls import established, outbound, outcomes
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_events as mev
from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.call import Call
from bridge.calls.early import matrix_reoffer_answered
from bridge.calls.inbound import peer_candidates
from bridge.calls.state import EndedBy, MatrixLeg, State, Timer
from bridge.calls.steps import Row, Table, abort, ignore, matrix_reoffered, refuse
from bridge.core.verdict import Verdict

TELLING_S = 40.0
"""For the client's connection and the sentence, which the configuration keeps short."""
NO_HELP = "emergency_refused"
"""The sentence in `Call.spoken` for whoever calls for help, which cannot be reached from here, for whatever reason."""


def refused(call: Call, event: ev.CallRefused, now: float) -> list[cmd.Command]:
    """Write why at once, and say it where that can be."""
    if event.verdict.reason not in call.spoken or call.matrix_sdp is None:
        return refuse(call, event, now)
    notice = call.notice(event.verdict, EndedBy.BRIDGE)
    call.state, call.told = State.REFUSING, event.verdict
    return [*notice, acmd.WriteAnnouncementAnswer(matrix_sdp=call.matrix_sdp)]


def unreached(call: Call, verdict: Verdict, now: float) -> list[cmd.Command]:
    """No trunk has brought the call to anybody. Whoever called for help must not take it for a phone that is busy."""
    if not call.emergency or NO_HELP not in call.spoken:
        return call.end(verdict, EndedBy.SIP, now)
    call_for_help = outcomes.of_emergency(verdict)
    notice = call.notice(call_for_help, EndedBy.SIP)
    call.told = call_for_help
    if call.matrix_leg is MatrixLeg.ANSWERED:
        return [*notice, acmd.DropSipMedia(), *_tell(call, now)]
    call.state = State.REFUSING
    answer = acmd.WriteAnnouncementAnswer(matrix_sdp=call.matrix_sdp or "")
    candidates = call.buffered_of(call.matrix.call_id, call.matrix.peer_party)
    return [*notice, medcmd.CloseMedia(), answer, *candidates]


def answer_ready(call: Call, event: AnnouncementReady, now: float) -> list[cmd.Command]:
    """The user's client takes it for a call that was answered."""
    call.matrix_leg, call.matrix_sdp = MatrixLeg.ANSWERED, None
    return [mxcmd.SendAnswer(sdp=event.sdp), *_tell(call, now)]


def ended_aloud(call: Call, event: ev.Aborted, now: float) -> list[cmd.Command]:
    """The phone goes at once, and with it all that the call costs."""
    if event.verdict.reason not in call.spoken:
        return abort(call, event, now)
    notice = call.notice(event.verdict, EndedBy.BRIDGE)
    commands = [*call.farewell_phones(event.verdict), *notice, acmd.DropSipMedia()]
    call.told, call.at.ended = event.verdict, now
    return [*commands, *_tell(call, now)]


def _tell(call: Call, now: float) -> list[cmd.Command]:
    call.state = State.TELLING
    call.deadlines = {Timer.TELLING: now + TELLING_S}
    if call.told is None:
        return []
    return [acmd.Announce(reason=NO_HELP if call.emergency else call.told.reason)]


def over(call: Call, event: object, now: float) -> list[cmd.Command]:
    """The user has heard it, or cannot."""
    return _end(call, EndedBy.BRIDGE, now)


def hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """The user has heard enough."""
    return _left(call, now) if call.is_peer(event.user, event.party) else []


def another_selected(call: Call, event: mxev.AnswerSelected, now: float) -> list[cmd.Command]:
    """Another party's answer was taken, which nobody can have sent who was called."""
    ours = event.selected_party in (None, call.matrix.own_party, call.matrix.peer_party)
    return [] if ours or not call.is_peer(event.user, event.party) else _left(call, now)


def member_left(call: Call, event: mxev.MemberLeft, now: float) -> list[cmd.Command]:
    return _left(call, now) if event.user in (call.matrix.user, call.matrix.ghost) else []


def _left(call: Call, now: float) -> list[cmd.Command]:
    call.matrix_leg = MatrixLeg.ENDED
    return _end(call, EndedBy.MATRIX, now)


def _end(call: Call, by: EndedBy, now: float) -> list[cmd.Command]:
    """Whoever ends it, what was told is why there is no call."""
    return [] if call.told is None else call.end(call.told, by, now)


_ANY_TIME: dict[type[object], Row] = {
    ev.Aborted: Row(over, (State.ENDED,)),
    mxev.HangupReceived: Row(hung_up, (State.ENDED,)),
    mxev.MemberLeft: Row(member_left, (State.ENDED,)),
    mxev.MemberJoined: Row(ignore, ()),
    medev.MediaLost: Row(over, (State.ENDED,)),
    medev.MediaRefused: Row(over, (State.ENDED,)),
    ev.TimerFired: Row(over, (State.ENDED,)),
}
_TELLING: dict[type[object], Row] = {
    **{event: Row(ignore, ()) for event in established.ANY_TIME},
    **_ANY_TIME,
    mev.SoundPlayed: Row(over, (State.ENDED,)),
    mxev.AnswerSelected: Row(another_selected, (State.ENDED,)),
    mxev.CandidatesReceived: Row(peer_candidates, ()),
    mxev.MatrixReoffered: Row(matrix_reoffered, ()),
    medev.MatrixReofferAnswered: Row(matrix_reoffer_answered, ()),
    medev.MediaConnected: Row(ignore, ()),
}

TABLE: Table = {
    (State.CONNECTED, ev.Aborted): Row(ended_aloud, (State.TELLING, State.ENDED)),
    **{(State.TELLING, event): row for event, row in _TELLING.items()},
}
"""For a call that was up, in either direction. Refines a row of the plain call."""

REFUSED: Table = {
    (State.NEW, ev.CallRefused): Row(refused, (State.REFUSING, State.ENDED)),
    **{(State.REFUSING, event): row for event, row in _ANY_TIME.items()},
    (State.REFUSING, mxev.CandidatesReceived): Row(outbound.caller_candidates, ()),
    # The answer to early media of a trunk that has failed meanwhile.
    (State.REFUSING, medev.MatrixAnswerReady): Row(ignore, ()),
    (State.REFUSING, AnnouncementReady): Row(answer_ready, (State.TELLING,)),
}
"""For a call that its user may not make, or that reaches no help. Refines a row of the plain call."""
