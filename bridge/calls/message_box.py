"""Nobody has taken a phone's call: the bridge answers it, and records what the phone has to say.

There is no Matrix side any more. The user's devices have been told that the call is over, and find the message in the
room later; who delivers it outlives the call.
"""

from collections.abc import Mapping

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.established import OF_THE_PHONE
from bridge.calls.handover import NOT_MOVED
from bridge.calls.menu import Prompt
from bridge.calls.message import Step
from bridge.calls.state import EndedBy, SipLeg, State, Timer
from bridge.calls.steps import Row, Table, abort, ignore
from bridge.calls.turning_away import LONGEST_WALK_S, without_message

CLOSING_S = 5.0
"""A recording that was stopped is whole by then, or never will be."""
STOP_KEY = "#"


def own_answer_ready(call: Call, event: mev.OwnAnswerReady, now: float) -> list[cmd.Command]:
    """Answer the phone, and say that nobody is there; or what there is to choose."""
    call.sip_leg, call.at.attended = SipLeg.ESTABLISHED, now
    call.sip_sdp = call.matrix_sdp = None
    call.deadlines.clear()
    if call.walk is not None:
        call.state, call.message = State.IN_MENU, None
        call.deadlines[Timer.WALK] = now + LONGEST_WALK_S
        return [sipcmd.AcceptSip(sdp=event.sdp), ncmd.prompt_of(call.walk.menu, Prompt.CHOICES)]
    call.state, call.at.answered = State.ATTENDED, now
    if call.message_box is not None:
        call.deadlines[Timer.MESSAGE] = now + call.message_box.limit_s
    return [sipcmd.AcceptSip(sdp=event.sdp), mcmd.PlayGreeting()]


def greeting_played(call: Call, event: mev.SoundPlayed, now: float) -> list[cmd.Command]:
    return _record(call) if call.message is not None and call.message.step is Step.GREETING else []


def key_pressed(call: Call, event: mev.PhoneKeyPressed, now: float) -> list[cmd.Command]:
    """The key that ends a greeting, and then the message, on every answering machine."""
    if call.message is None or event.digit != STOP_KEY:
        return []
    match call.message.step:
        case Step.GREETING:
            return [mcmd.StopSound(), *_record(call)]
        case Step.RECORDING:
            return _close(call, now)
        case Step.CLOSING:
            return []


def message_recorded(call: Call, event: mev.MessageRecorded, now: float) -> list[cmd.Command]:
    """It is whole, and on its way to the user if there is anything in it."""
    why = call.message.why if call.message is not None else outcomes.NO_ANSWER
    by = EndedBy.SIP if call.sip_leg is SipLeg.ENDED else EndedBy.BRIDGE
    return call.end(outcomes.MESSAGE_LEFT if event.heard else why, by, now)


def phone_hung_up(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ENDED
    return _leave(call, EndedBy.SIP, now)


def audio_lost(call: Call, event: medev.MediaLost, now: float) -> list[cmd.Command]:
    """The phone is silent in every sense; what it has said is kept."""
    return _leave(call, EndedBy.BRIDGE, now)


def too_long(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    return _leave(call, EndedBy.BRIDGE, now)


def unanswerable(call: Call, event: medev.MediaRefused, now: float) -> list[cmd.Command]:
    """Without an answer of ours the phone hears what it would have heard without all this."""
    tells_more = event.verdict.reason == outcomes.ATTENDANTS_BUSY.reason
    why = event.verdict if call.message is None or tells_more else call.message.why
    return call.end(why, EndedBy.BRIDGE, now)


def not_taken(call: Call, event: medev.MediaRefused, now: float) -> list[cmd.Command]:
    """There is no place for a message, or it cannot be recorded."""
    is_there = call.message is not None and call.message.step is not Step.CLOSING
    if call.walk is None or not is_there:
        return call.end(event.verdict, EndedBy.BRIDGE, now)
    return without_message(call, call.walk, event.verdict, now)


def never_answered(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    if event.timer is not Timer.ANSWER:
        return []
    return unanswerable(call, medev.MediaRefused(verdict=outcomes.MEDIA_FAILED), now)


def gave_up(call: Call, event: sipev.SipCancelled, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ENDED
    return call.end(outcomes.CANCELLED, EndedBy.SIP, now)


def _record(call: Call) -> list[cmd.Command]:
    if call.message is None or call.message_box is None:
        return []
    call.message.step = Step.RECORDING
    return [mcmd.RecordMessage(longest_s=call.message_box.longest_s)]


def _leave(call: Call, by: EndedBy, now: float) -> list[cmd.Command]:
    """A recording must be whole before the call is over; a caller who only heard the greeting has left nothing."""
    if call.message is not None and call.message.step is Step.RECORDING:
        return _close(call, now)
    return call.end(call.message.why if call.message is not None else outcomes.NO_ANSWER, by, now)


def _close(call: Call, now: float) -> list[cmd.Command]:
    if call.message is not None:
        call.message.step = Step.CLOSING
    call.deadlines[Timer.MESSAGE] = now + CLOSING_S
    return [mcmd.StopRecording()]


OVER_FOR_MATRIX: Mapping[type[object], Row] = {
    kind: Row(ignore, ())
    for kind in (
        *(mxev.AnswerReceived, mxev.RejectReceived, mxev.HangupReceived, mxev.CandidatesReceived, mxev.AnswerSelected),
        *(mxev.MemberJoined, mxev.MemberLeft, mxev.InviteDelivered, medev.MatrixOfferReady),
        *(mxev.PortalReady, mxev.PresenceKnown, ev.CallRefused, sipev.IdentityChanged, medev.MediaConnected),
    )
}
"""What was asked for before, or comes too late: it is not the user's call any more."""

TABLE: Table = {
    **{(state, event): row for state in (State.ATTENDING, State.ATTENDED) for event, row in OVER_FOR_MATRIX.items()},
    **{(state, ev.Aborted): Row(abort, (State.ENDED,)) for state in (State.ATTENDING, State.ATTENDED)},
    (State.ATTENDING, medev.MediaRefused): Row(unanswerable, (State.ENDED,)),
    (State.ATTENDING, mev.OwnAnswerReady): Row(own_answer_ready, (State.ATTENDED, State.IN_MENU)),
    (State.ATTENDING, ev.TimerFired): Row(never_answered, (State.ENDED,)),
    (State.ATTENDING, sipev.SipCancelled): Row(gave_up, (State.ENDED,)),
    (State.ATTENDING, medev.MediaLost): Row(audio_lost, (State.ENDED,)),
    **{(State.ATTENDED, event): row for event, row in {**OF_THE_PHONE, **NOT_MOVED}.items()},
    (State.ATTENDED, sipev.SipEnded): Row(phone_hung_up, (State.ENDED,)),
    (State.ATTENDED, medev.MediaRefused): Row(not_taken, (State.IN_MENU, State.ENDED)),
    (State.ATTENDED, medev.MediaLost): Row(audio_lost, (State.ENDED,)),
    (State.ATTENDED, ev.TimerFired): Row(too_long, (State.ENDED,)),
    (State.ATTENDED, mev.SoundPlayed): Row(greeting_played, ()),
    (State.ATTENDED, mev.PhoneKeyPressed): Row(key_pressed, ()),
    (State.ATTENDED, mev.MessageRecorded): Row(message_recorded, (State.ENDED,)),
}
