"""A Matrix user calls a phone: from `m.call.invite` to `m.call.answer`."""

from collections.abc import Sequence

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.established import reoffer_answered, reoffer_refused
from bridge.calls.parties import MatrixParty
from bridge.calls.state import Direction, EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.calls.steps import WHILE_ANSWERING, Row, Table, abort, ignore, media_lost, member_left, refuse
from bridge.calls.times import CallTimes, Milestones
from bridge.calls.way import Way
from bridge.core.ids import CallId
from bridge.core.verdict import Verdict


def begin(
    *,
    call_id: CallId,
    ways: Sequence[Way],
    matrix: MatrixParty,
    sdp: str,
    remaining_s: float,
    caller_name: str = "",
    emergency: bool = False,
    test: bool = False,
    spoken: frozenset[str] = frozenset(),
    times: CallTimes,
    now: float,
    wall: float,
) -> Call:
    """A call that a Matrix user wants to make; `remaining_s` is what is left of the invite's lifetime.

    It goes by the first of `ways`, and by the next when that one's trunk fails; there is at least one. Feed it
    `CallPermitted` or `CallRefused` next. The bridge enforces the lifetime itself, because Element iOS sends nothing
    when its invite expires.
    """
    way, *further = ways
    call = Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        trunk=way.trunk,
        number=way.number,
        matrix=matrix,
        times=times,
        at=Milestones(invited=now),
        began_wall=wall,
        caller=way.caller,
        caller_name=caller_name,
        called=way.number,
        answers_early=way.answers_early,
        withheld=way.withheld,
        emergency=emergency,
        test=test,
        spoken=spoken,
        further=tuple(further),
        matrix_leg=MatrixLeg.THEIRS,
        matrix_sdp=sdp,
    )
    call.deadlines[Timer.EXPIRY] = now + max(0.0, remaining_s - times.expiry_slack_s)
    return call


def permitted(call: Call, event: ev.CallPermitted, now: float) -> list[cmd.Command]:
    if event.hold_s > 0:
        call.state = State.HELD
        call.deadlines[Timer.BACKLOG] = now + event.hold_s
        return []
    return prepare(call)


def prepare(call: Call) -> list[cmd.Command]:
    """Have an offer written for the trunk."""
    call.state = State.PREPARING
    write = medcmd.WriteSipOffer(matrix_sdp=call.matrix_sdp or "")
    return [write, *call.buffered_of(call.matrix.call_id, call.matrix.peer_party)]


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """The backlog is through: dial. The invite ran out: nobody answered (in whatever state that happens)."""
    match event.timer:
        case Timer.BACKLOG if call.state is State.HELD:
            return prepare(call)
        case Timer.EXPIRY:
            return call.end(outcomes.NO_ANSWER, EndedBy.BRIDGE, now)
        case _:
            return []


def sip_offer_ready(call: Call, event: medev.SipOfferReady, now: float) -> list[cmd.Command]:
    call.state, call.sip_leg, call.at.dialled = State.DIALLING, SipLeg.DIALLING, now
    return [sipcmd.PlaceSipCall(sdp=event.sdp)]


def sip_answered(call: Call, event: sipev.SipAnswered, now: float) -> list[cmd.Command]:
    """The phone answered, with the description that counts in its dialog, be it from a 183 (RFC 3261 §13.2.1)."""
    call.sip_leg = SipLeg.ESTABLISHED
    call.at.answered = now
    call.answer_soon(now)
    if event.sdp is None:
        return call.end(outcomes.NO_DESCRIPTION, EndedBy.BRIDGE, now)
    call.state = State.ANSWERING
    return [medcmd.WriteMatrixAnswer(sip_sdp=call.take_sip_sdp(event.sdp))]


def note_failure(call: Call, event: sipev.SipFailed) -> Verdict:
    """The phone's side has refused, or was not to be reached."""
    call.sip_leg = SipLeg.ENDED
    call.peer_status, call.peer_q850 = (None, None) if event.local else (event.status, event.q850)
    return outcomes.of_sip_failure(event.status, local=event.local, redirected_to=event.redirected_to, q850=event.q850)


def matrix_answer_ready(call: Call, event: medev.MatrixAnswerReady, now: float) -> list[cmd.Command]:
    call.matrix_leg = MatrixLeg.ANSWERED
    call.connect(now)
    return tell_answer(call, event.sdp)


def tell_answer(call: Call, sdp: str) -> list[cmd.Command]:
    """Answer the caller, who learns of anybody else than who was called at the same time."""
    number = call.connected_number
    identity = [] if number is None else [mxcmd.SendIdentity(number=number, name=call.connected_name)]
    return [mxcmd.SendAnswer(sdp=sdp), *identity]


def identity_known(call: Call, event: sipev.IdentityChanged, now: float) -> list[cmd.Command]:
    """Somebody else than who was called rings or answers; the caller's client can be told once it is answered."""
    call.connected_number, call.connected_name = event.number, event.name
    return []


def caller_candidates(call: Call, event: mxev.CandidatesReceived, now: float) -> list[cmd.Command]:
    """They belong to the session from the moment it exists; they are kept in case it has to be made anew (glare)."""
    if not call.is_peer(event.user, event.party):
        return []
    call.buffer_candidates(event)
    return [] if call.state is State.HELD else [medcmd.AddCandidates(candidates=event.candidates)]


def caller_hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """The caller gave up before the answer; the reason does not matter (clients leave it out here)."""
    if not call.is_peer(event.user, event.party):
        return []
    call.matrix_leg = MatrixLeg.ENDED
    return call.end(outcomes.CANCELLED, EndedBy.MATRIX, now)


def reoffered_while_ringing(call: Call, event: sipev.SipReoffered, now: float) -> list[cmd.Command]:
    """UPDATE: the phone moved before it answered (RFC 3311 §5.2). Without a word of ours the trunk would give up."""
    if event.sdp is None:
        return []
    # An offer that is answered is not taken again as an answer, in whose place the user agent names it afterwards.
    call.take_sip_sdp(event.sdp)
    return [medcmd.AnswerReoffer(sip_sdp=event.sdp)]


def reoffer_too_early(call: Call, event: sipev.SipReoffered, now: float) -> list[cmd.Command]:
    """The first offer and answer are still being worked on (RFC 3261 §14.2)."""
    return [sipcmd.RejectSip(status=491)]


def sip_ended_while_answering(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ENDED
    return call.end(outcomes.COMPLETED, EndedBy.SIP, now)


ANY_TIME: dict[type[object], Row] = {
    ev.Aborted: Row(abort, (State.ENDED,)),
    mxev.MemberLeft: Row(member_left, (State.ENDED,)),
    mxev.MemberJoined: Row(ignore, ()),
    mxev.HangupReceived: Row(caller_hung_up, (State.ENDED,)),
    mxev.CandidatesReceived: Row(caller_candidates, ()),
    medev.MediaRefused: Row(refuse, (State.ENDED,)),
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
}

TABLE: Table = {
    (State.NEW, ev.CallPermitted): Row(permitted, (State.HELD, State.PREPARING)),
    (State.NEW, ev.CallRefused): Row(refuse, (State.ENDED,)),
    (State.NEW, ev.Aborted): Row(abort, (State.ENDED,)),
    (State.HELD, ev.TimerFired): Row(timer_fired, (State.PREPARING, State.ENDED)),
    (State.PREPARING, medev.SipOfferReady): Row(sip_offer_ready, (State.DIALLING,)),
    (State.PREPARING, ev.TimerFired): Row(timer_fired, (State.ENDED,)),
    (State.DIALLING, sipev.SipAnswered): Row(sip_answered, (State.ANSWERING, State.ENDED)),
    (State.DIALLING, ev.TimerFired): Row(timer_fired, (State.ENDED,)),
    (State.DIALLING, sipev.SipReoffered): Row(reoffered_while_ringing, ()),
    **{(state, medev.ReofferAnswered): Row(reoffer_answered, ()) for state in (State.DIALLING, State.ANSWERING)},
    **{(state, medev.ReofferRefused): Row(reoffer_refused, ()) for state in (State.DIALLING, State.ANSWERING)},
    (State.DIALLING, sipev.IdentityChanged): Row(identity_known, ()),
    (State.ANSWERING, sipev.IdentityChanged): Row(identity_known, ()),
    (State.ANSWERING, sipev.PhoneKeysPressed): Row(ignore, ()),
    (State.ANSWERING, medev.MatrixAnswerReady): Row(matrix_answer_ready, (State.CONNECTING, State.CONNECTED)),
    (State.ANSWERING, sipev.SipReoffered): Row(reoffer_too_early, ()),
    (State.ANSWERING, sipev.SipEnded): Row(sip_ended_while_answering, (State.ENDED,)),
    **{
        (state, event): row
        for state in (State.HELD, State.PREPARING, State.DIALLING, State.ANSWERING)
        for event, row in ANY_TIME.items()
    },
    **{(State.ANSWERING, event): row for event, row in WHILE_ANSWERING.items()},
}
