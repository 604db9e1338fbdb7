"""What is done on the steps of a call that comes in, and to answer requests inside one (RFC 3261 §9.2, §13.3)."""

from typing import TYPE_CHECKING

from bridge.sip.answers import pending, respond, response_to_pending
from bridge.sip.diversion import diversion_fields
from bridge.sip.events import (
    CallCancelled,
    CallConfirmed,
)
from bridge.sip.grammar import printable
from bridge.sip.identity import called_of
from bridge.sip.number_forms import written, written_called
from bridge.sip.reasons import cause
from bridge.sip.requests import (
    q850_reason,
)
from bridge.sip.session_effects import agree
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked
from bridge.sip.usage_events import (
    AckOverdue,
    AckReceived,
    AnswerDue,
    CancelReceived,
    PrackMissed,
    PrackOverdue,
    ProvisionalDue,
    RingDue,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage


def send_first_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to the INVITE that began the call, without a description when PRACK has settled it (RFC 6337 §3.1.1)."""
    sdp = event.sdp if isinstance(event, AcceptAsked) else usage.accepted_sdp
    for deadline in (RingDue, ProvisionalDue, PrackOverdue, PrackMissed):
        usage.stop_timer(deadline)
    if usage.dialog is not None and usage.dialog.session.settled:
        if sdp is not None and sdp != usage.dialog.session.local_sdp:
            usage.offering.waiting = sdp
        sdp = None
    _answer(usage, sdp, now)


def send_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to a re-INVITE."""
    match event:
        case AcceptAsked(sdp=sdp):
            _answer(usage, sdp, now)


def _answer(usage: "InviteUsage", sdp: str | None, now: float) -> None:
    """200, repeated until its ACK comes, over every transport (§13.3.1.4)."""
    timing = usage.context.layer.timing
    usage.answer = response_to_pending(usage, 200, sdp=sdp, fields=agree(usage, pending(usage).request, now))
    usage.answer_interval_s = timing.t1_s
    respond(usage, usage.answer, now)
    _follow(usage, sdp)
    usage.set_timer(AnswerDue(), now + usage.answer_interval_s)
    usage.set_timer(AckOverdue(), now + timing.timeout_s)


def send_update_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to an UPDATE, which needs no ACK (RFC 3311 §5.2)."""
    match event:
        case AcceptAsked(sdp=sdp):
            fields = agree(usage, pending(usage).request, now)
            respond(usage, response_to_pending(usage, 200, sdp=sdp, fields=fields), now)
            _follow(usage, sdp)


def repeat_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Doubling up to T2 (§13.3.1.4)."""
    if usage.incoming is None or usage.answer is None:
        return
    layer = usage.context.layer
    layer.respond(usage.incoming, usage.answer, now, again=True)
    usage.answer_interval_s = min(usage.answer_interval_s * 2, layer.timing.t2_s)
    usage.set_timer(AnswerDue(), now + usage.answer_interval_s)


def stop_answering(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The ACK is here, or no longer expected."""
    usage.answer = None
    usage.stop_timer(AnswerDue)
    usage.stop_timer(AckOverdue)


def send_rejection(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The final response that our user chose."""
    match event:
        case RejectAsked(status=status, reason_phrase=phrase, q850=q850, forward_to=number):
            fields = [] if q850 is None else [("Reason", q850_reason(q850))]
            if number:
                fields += _redirection(usage, number)
            respond(usage, response_to_pending(usage, status, printable(phrase) or None, fields=fields), now)


def _redirection(usage: "InviteUsage", number: str) -> list[tuple[str, str]]:
    """Whom to call at the trunk instead, and by whom that was wished (§8.1.3.4, RFC 5806 §6)."""
    state, request = usage.trunk, pending(usage).request
    target = state.uri(written_called(number, state.trunk))
    diverter = state.own_uri(written(called_of(request, state), state.trunk))
    return [("Contact", f"<{target}>"), *diversion_fields([diverter], target, state.trunk.diversion_header)]


def decline(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Hung up before it was answered: to the caller we are away."""
    match event:
        case CancelAsked(q850=q850) | HangUpAsked(q850=q850):
            fields = [] if q850 is None else [("Reason", q850_reason(q850))]
            respond(usage, response_to_pending(usage, 480, fields=fields), now)


def terminate_invite(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """487 to the request that is pending (§9.2, §15.1.2)."""
    respond(usage, response_to_pending(usage, 487), now)


def tell_call_cancelled(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The caller gave up, or cannot be reached any more."""
    match event:
        case CancelReceived(request=request):
            elsewhere = cause(request, "SIP") == 200
            usage.context.emit(CallCancelled(dialog=usage.key, answered_elsewhere=elsewhere))
        case _:
            usage.context.emit(CallCancelled(dialog=usage.key))


def tell_confirmed(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The ACK came; after a late offer it has the answer, unless a PRACK had it."""
    match event:
        case AckReceived(request=request):
            sdp, usage.kept_answer = usage.sdp_of(request) or usage.kept_answer, None
            if usage.dialog is not None and sdp is not None:
                usage.dialog.session.remote_sdp = sdp
            usage.context.emit(CallConfirmed(dialog=usage.key, sdp=sdp))


def _follow(usage: "InviteUsage", sdp: str | None) -> None:
    """What was offered and answered counts from now on, and so does where the peer is (§12.2.2)."""
    if usage.dialog is not None:
        request, session = pending(usage).request, usage.dialog.session
        usage.follow(usage.dialog, request)
        session.local_sdp = sdp or session.local_sdp
        if usage.kept_answer is None:
            session.remote_sdp = usage.sdp_of(request) or session.remote_sdp
        session.settled = True
