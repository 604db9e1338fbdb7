"""What is done on the steps of a call that comes in, and to answer requests inside one (RFC 3261 §9.2, §13.3)."""

from typing import TYPE_CHECKING

from bridge.sip.capabilities import allow
from bridge.sip.events import (
    CallCancelled,
    CallConfirmed,
)
from bridge.sip.grammar import printable
from bridge.sip.message import Response
from bridge.sip.reasons import cause
from bridge.sip.requests import (
    SDP_TYPE,
    Fields,
    q850_reason,
)
from bridge.sip.transaction_layer import ActiveServer
from bridge.sip.usage_events import (
    AcceptAsked,
    AckOverdue,
    AckReceived,
    AnswerDue,
    ByeReceived,
    CancelAsked,
    CancelReceived,
    HangUpAsked,
    RejectAsked,
    RingAsked,
    RingDue,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

RING_INTERVAL_S = 60.0
"""A callee that takes long repeats its provisional response each minute, or proxies give up (RFC 3261 §13.3.1.1)."""


def send_provisional(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Ringing, with early media if there is any."""
    match event:
        case RingAsked(status=status, sdp=sdp):
            usage.answer = _response(usage, status, sdp=sdp)
            _respond(usage, usage.answer, now)
            usage.set_timer(RingDue(), now + RING_INTERVAL_S)


def repeat_provisional(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Keep proxies on the way from giving up."""
    if usage.answer is not None:
        _respond(usage, usage.answer, now)
        usage.set_timer(RingDue(), now + RING_INTERVAL_S)


def send_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200, repeated until its ACK comes, over every transport (§13.3.1.4)."""
    match event:
        case AcceptAsked(sdp=sdp):
            timing = usage.context.layer.timing
            usage.stop_timer(RingDue)
            usage.answer = _response(usage, 200, sdp=sdp)
            usage.answer_interval_s = timing.t1_s
            _respond(usage, usage.answer, now)
            _follow(usage, sdp)
            usage.set_timer(AnswerDue(), now + usage.answer_interval_s)
            usage.set_timer(AckOverdue(), now + timing.timeout_s)


def send_update_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to an UPDATE, which needs no ACK (RFC 3311 §5.2)."""
    match event:
        case AcceptAsked(sdp=sdp):
            _respond(usage, _response(usage, 200, sdp=sdp), now)
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
        case RejectAsked(status=status, reason_phrase=phrase, q850=q850):
            fields = [] if q850 is None else [("Reason", q850_reason(q850))]
            _respond(usage, _response(usage, status, printable(phrase) or None, fields=fields), now)


def decline(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Hung up before it was answered: to the caller we are away."""
    match event:
        case CancelAsked(q850=q850) | HangUpAsked(q850=q850):
            fields = [] if q850 is None else [("Reason", q850_reason(q850))]
            _respond(usage, _response(usage, 480, fields=fields), now)


def terminate_invite(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """487 to the request that is pending (§9.2, §15.1.2)."""
    _respond(usage, _response(usage, 487), now)


def tell_call_cancelled(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The caller gave up."""
    match event:
        case CancelReceived(request=request):
            elsewhere = cause(request, "SIP") == 200
            usage.context.emit(CallCancelled(dialog=usage.key, answered_elsewhere=elsewhere))
        case ByeReceived():
            usage.context.emit(CallCancelled(dialog=usage.key))


def tell_confirmed(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The ACK came; after a late offer it has the answer."""
    match event:
        case AckReceived(request=request):
            sdp = usage.sdp_of(request)
            if usage.dialog is not None and sdp is not None:
                usage.dialog.session.remote_sdp = sdp
            usage.context.emit(CallConfirmed(dialog=usage.key, sdp=sdp))


def _response(
    usage: "InviteUsage", status: int, phrase: str | None = None, *, sdp: str | None = None, fields: Fields = ()
) -> Response:
    """A response to the request that is pending, with what makes or refreshes the dialog (§12.1.1)."""
    server = _pending(usage)
    headers = list(fields)
    if status < 300:
        headers += [usage.contact(server.flow), ("Allow", allow(usage.trunk.trunk))]
    if sdp is not None:
        headers.append(("Content-Type", SDP_TYPE))
    body = b"" if sdp is None else sdp.encode(errors="replace")
    return server.request.response(status, phrase, to_tag=usage.local_tag, headers=headers, body=body)


def _follow(usage: "InviteUsage", sdp: str | None) -> None:
    """What was offered and answered counts from now on, and so does where the peer is (§12.2.2)."""
    if usage.dialog is not None:
        request, session = _pending(usage).request, usage.dialog.session
        usage.follow(usage.dialog, request)
        session.local_sdp = sdp or session.local_sdp
        session.remote_sdp = usage.sdp_of(request) or session.remote_sdp
        session.settled = True


def _respond(usage: "InviteUsage", response: Response, now: float) -> None:
    usage.context.layer.respond(_pending(usage), response, now)


def _pending(usage: "InviteUsage") -> ActiveServer:
    if usage.incoming is None:
        raise LookupError("the table allows this only while a request of the peer is pending")
    return usage.incoming
