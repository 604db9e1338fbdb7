"""Before the phone is answered: ringing, and what the telephone network plays meanwhile (early media, RFC 3960).

There is no "ringing" event in Matrix: clients play their own ringback. Nor is there one for an announcement; a
`pranswer` in `m.call.negotiate` leaves matrix-js-sdk deaf and makes Nheko hang up. Only a real `m.call.answer` lets the
caller hear one, so on trunks that are set so a 183 with a description is answered with it. The caller's client then
shows a call that is up, and whatever ends it from there on is a hangup; the phone's own answer needs no event.
"""

from bridge.calls import commands as cmd
from bridge.calls import established, outbound, outcomes
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.inbound import peer_candidates
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.calls.steps import WHILE_ANSWERING, Row, Table, ignore, matrix_reoffered

RINGING, SESSION_PROGRESS = 180, 183


def progress(call: Call, event: sipev.SipProgress, now: float) -> list[cmd.Command]:
    """A 180 with a description is ringing too, which the caller's client plays already.

    Once the caller is answered, no other trunk can take the call: one that has to go on whatever happens waits for its
    last.
    """
    _note_ringing(call, event, now)
    answers_early = call.answers_early and not (call.emergency and call.further)
    if event.sdp is None or not answers_early or event.status != SESSION_PROGRESS:
        return []
    call.state = State.EARLY_ANSWERING
    return [medcmd.WriteMatrixAnswer(sip_sdp=call.take_sip_sdp(event.sdp), early=True)]


def more_progress(call: Call, event: sipev.SipProgress, now: float) -> list[cmd.Command]:
    """Another phone of the same call may have begun to play (forking): the newest is heard."""
    _note_ringing(call, event, now)
    sdp = call.take_sip_sdp(event.sdp) if event.sdp is not None else None
    return [medcmd.TakeSipAnswer(sip_sdp=sdp, early=True)] if sdp is not None else []


def _note_ringing(call: Call, event: sipev.SipProgress, now: float) -> None:
    if event.status >= RINGING and call.at.ringing is None:
        call.at.ringing = now


def answer_ready(call: Call, event: medev.MatrixAnswerReady, now: float) -> list[cmd.Command]:
    """The caller hears the telephone network. The invite's lifetime is over with that, the phone's ring time is not."""
    call.state, call.matrix_leg, call.at.early = State.EARLY, MatrixLeg.ANSWERED, now
    call.deadlines = {Timer.EXPIRY: now + call.times.ring_s}
    if call.at.connected is None:
        call.deadlines[Timer.CONNECT] = now + call.times.connect_s
    return outbound.tell_answer(call, event.sdp)


def answered_meanwhile(call: Call, event: sipev.SipAnswered, now: float) -> list[cmd.Command]:
    """The phone was answered before the caller's client was told of anything: an ordinary call."""
    call.sip_leg, call.at.answered = SipLeg.ESTABLISHED, now
    call.answer_soon(now)
    if event.sdp is None:
        return call.end(outcomes.NO_DESCRIPTION, EndedBy.BRIDGE, now)
    call.state = State.ANSWERING
    return [medcmd.TakeSipAnswer(sip_sdp=call.take_sip_sdp(event.sdp))]


def answered(call: Call, event: sipev.SipAnswered, now: float) -> list[cmd.Command]:
    """From here on it counts; what the caller's client did meanwhile (hold) is told to the phone now."""
    call.sip_leg = SipLeg.ESTABLISHED
    if event.sdp is None:
        return call.end(outcomes.NO_DESCRIPTION, EndedBy.BRIDGE, now)
    take = medcmd.TakeSipAnswer(sip_sdp=call.take_sip_sdp(event.sdp))
    call.connect(now)
    return [take, medcmd.WriteSipReoffer()]


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    match event.timer:
        case Timer.EXPIRY:
            return call.end(outcomes.NO_ANSWER, EndedBy.BRIDGE, now)
        case Timer.CONNECT if call.at.connected is None:
            return call.end(outcomes.ICE_FAILED, EndedBy.BRIDGE, now)
        case _:
            return []


def matrix_reoffer_answered(call: Call, event: medev.MatrixReofferAnswered, now: float) -> list[cmd.Command]:
    return [mxcmd.SendNegotiateAnswer(sdp=event.sdp)]


_OFFERS: dict[type[object], Row] = {
    sipev.SipReoffered: Row(outbound.reoffered_while_ringing, ()),
    medev.ReofferAnswered: Row(established.reoffer_answered, ()),
    medev.ReofferRefused: Row(established.reoffer_refused, ()),
}

_EARLY_ANSWERING: dict[type[object], Row] = {
    **outbound.ANY_TIME,
    **WHILE_ANSWERING,
    **_OFFERS,
    sipev.SipProgress: Row(more_progress, ()),
    medev.MatrixAnswerReady: Row(answer_ready, (State.EARLY,)),
    sipev.SipAnswered: Row(answered_meanwhile, (State.ANSWERING, State.ENDED)),
    ev.TimerFired: Row(outbound.timer_fired, (State.ENDED,)),
    sipev.IdentityChanged: Row(outbound.identity_known, ()),
}
_EARLY: dict[type[object], Row] = {
    **outbound.ANY_TIME,
    **WHILE_ANSWERING,
    **_OFFERS,
    sipev.SipProgress: Row(more_progress, ()),
    sipev.SipAnswered: Row(answered, (State.CONNECTING, State.CONNECTED, State.ENDED)),
    ev.TimerFired: Row(timer_fired, (State.ENDED,)),
    mxev.HangupReceived: Row(established.hung_up, (State.ENDED,)),
    mxev.AnswerSelected: Row(established.answer_selected, (State.ENDED,)),
    mxev.CandidatesReceived: Row(peer_candidates, ()),
    sipev.IdentityChanged: Row(established.identity_changed, ()),
    medev.ClientKeyPressed: Row(established.client_key_pressed, ()),
    sipev.PhoneKeysPressed: Row(established.phone_keys_pressed, ()),
    mxev.MatrixReoffered: Row(matrix_reoffered, ()),
    medev.MatrixReofferAnswered: Row(matrix_reoffer_answered, ()),
    medev.MatrixReofferRefused: Row(ignore, ()),
    # Expected and without meaning: another device answers or rejects too late, a slow homeserver.
    mxev.AnswerReceived: Row(ignore, ()),
    mxev.RejectReceived: Row(ignore, ()),
    ev.CallRefused: Row(ignore, ()),
}

TABLE: Table = {
    (State.DIALLING, sipev.SipProgress): Row(progress, (State.EARLY_ANSWERING,)),
    **{(State.EARLY_ANSWERING, event): row for event, row in _EARLY_ANSWERING.items()},
    **{(State.EARLY, event): row for event, row in _EARLY.items()},
}
