"""What is done on the steps of an invite usage: as caller, as callee, and inside the dialog."""

from typing import TYPE_CHECKING

from bridge.core.ids import SipCallId
from bridge.sip.dialog import Dialog
from bridge.sip.errors import SipError
from bridge.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallFailed,
    CallProgress,
    CallReoffered,
)
from bridge.sip.grammar import printable
from bridge.sip.message import Request, Response
from bridge.sip.reasons import cause, q850_cause
from bridge.sip.requests import (
    ALLOW,
    SDP_TYPE,
    Fields,
    cancel_of,
    copy_credentials,
    q850_reason,
    repeated,
    with_reason,
    with_sdp,
)
from bridge.sip.transaction import State
from bridge.sip.transaction_layer import ActiveClient, ActiveServer
from bridge.sip.usage_events import (
    AcceptAsked,
    AckOverdue,
    AckReceived,
    AnswerDue,
    AnswerReceived,
    ByeReceived,
    CancelAsked,
    CancelOverdue,
    CancelReceived,
    ChallengeReceived,
    FailureReceived,
    HangUpAsked,
    NoResponse,
    OfferReceived,
    ProgressReceived,
    ReinviteReceived,
    RejectAsked,
    RingAsked,
    RingDue,
    UpdateReceived,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

MAX_FORKS = 20
"""Early dialogs of one INVITE that are kept; a proxy that forks further is broken or hostile."""

RING_INTERVAL_S = 60.0
"""A callee that takes long repeats its provisional response each minute, or proxies give up (RFC 3261 §13.3.1.1)."""

RETRY_AFTER_MAX_S = 10
"""RFC 3261 §14.2."""


class Indifferent:
    """Sends requests whose outcome does not matter: CANCEL, and BYE to a fork that answered too late."""

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        return None

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        return None


INDIFFERENT = Indifferent()


# As caller.


def note_early_dialog(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """A provisional response with a To tag opens an early dialog; each fork has its own (RFC 3261 §12.1.2)."""
    match event:
        case ProgressReceived(response=response):
            tag = response.to.tag
            if tag is None or tag in usage.early or len(usage.early) >= MAX_FORKS or usage.invite is None:
                return
            dialog = _dialog_of(usage, usage.invite.request, response)
            if dialog is not None:
                usage.early[tag] = dialog
                usage.register(dialog)


def tell_progress(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Pass ringing and early media on."""
    match event:
        case ProgressReceived(response=response):
            progress = CallProgress(dialog=usage.key, status=response.status, sdp=usage.sdp_of(response))
            usage.context.emit(progress)


def confirm(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The first 2xx decides which dialog it is; its Record-Route counts, not an earlier one (§13.2.2.4)."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response):
            if usage.invite is None:
                return
            dialog = _dialog_of(usage, usage.invite.request, response) or _trunk_dialog(usage, response)
            early = usage.early.pop(dialog.remote.tag or "", None)
            if early is not None:
                dialog.remote_cseq = early.remote_cseq
            for other in usage.early.values():
                usage.unregister(other)
            usage.early.clear()
            usage.dialog = dialog
            usage.register(dialog)


def acknowledge(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Send the ACK, with our answer where the 2xx brought the offer (§13.2.2.4)."""
    if usage.dialog is not None:
        sdp = event.sdp if isinstance(event, AcceptAsked) else None
        _send_ack(usage, usage.dialog, sdp, now)


def reacknowledge(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """A 2xx again: the same ACK. One of another fork: ACK and BYE (§13.2.2.4)."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response):
            known = usage.acks.get(response.to.tag or "")
            if known is not None:
                usage.context.layer.send_ack(*known, now)
            elif not _is_awaited(usage, response) and len(usage.acks) < MAX_FORKS:
                _end_fork(usage, response, now)


def _is_awaited(usage: "InviteUsage", response: Response) -> bool:
    return usage.dialog is not None and usage.dialog.remote.tag == response.to.tag


def _end_fork(usage: "InviteUsage", response: Response, now: float) -> None:
    if usage.invite is None:
        return
    dialog = _dialog_of(usage, usage.invite.request, response)
    if dialog is not None:
        _send_ack(usage, dialog, None, now)
        bye = _request(usage, dialog, "BYE")
        usage.context.layer.send_request(bye, usage.flow_of(dialog), INDIFFERENT, now)


def _send_ack(usage: "InviteUsage", dialog: Dialog, sdp: str | None, now: float) -> None:
    if usage.invite is None:
        return
    ack = _request(usage, dialog, "ACK", cseq=usage.invite.request.cseq.number)
    copy_credentials(usage.invite.request, ack)
    flow = usage.flow_of(dialog)
    layer = usage.context.layer
    layer.add_via(with_sdp(ack, sdp), flow, layer.new_branch())
    usage.acks[dialog.remote.tag or ""] = (ack, flow)
    layer.send_ack(ack, flow, now)


def _dialog_of(usage: "InviteUsage", invite: Request, response: Response) -> Dialog | None:
    try:
        return Dialog.from_response(invite, response)
    except SipError:
        usage.context.count("sip_parse_errors_total", kind="dialog")
        return None


def _trunk_dialog(usage: "InviteUsage", response: Response) -> Dialog:
    """For a 2xx with a Contact or Record-Route that nobody can read: ACK and BYE go where the INVITE went."""
    return Dialog(
        sip_call_id=SipCallId(response.call_id),
        local=response.from_,
        remote=response.to,
        local_cseq=response.cseq.number,
        remote_cseq=None,
        remote_target=usage.trunk.uri(None),
        route_set=(),
    )


def tell_answered(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Answered."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response):
            usage.context.emit(CallAnswered(dialog=usage.key, sdp=usage.sdp_of(response)))


def authenticate(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The INVITE again, as a new transaction with credentials (§22.2)."""
    match event:
        case ChallengeReceived(credentials=credentials) if usage.invite is not None:
            previous = usage.invite
            cseq = previous.request.cseq.number + 1
            again = repeated(previous.request, cseq=cseq, credentials=credentials)
            for dialog in usage.early.values():
                usage.unregister(dialog)
            usage.early.clear()
            usage.invite = usage.context.layer.send_request(again, previous.flow, usage, now)


def tell_failed(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """No call: with the peer's status, or one of our own making."""
    match event:
        case FailureReceived(response=response):
            failure = CallFailed(
                dialog=usage.key,
                status=response.status,
                reason_phrase=response.reason_phrase,
                q850=q850_cause(response),
            )
            usage.context.emit(failure)
        case NoResponse(status=status):
            usage.context.emit(CallFailed(dialog=usage.key, status=status, local=True))


def tell_cancelled(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Our CANCEL crossed an answer, or was never answered: the call counts as cancelled."""
    local = isinstance(event, CancelOverdue)
    phrase = "Request Terminated"
    usage.context.emit(CallFailed(dialog=usage.key, status=487, reason_phrase=phrase, local=local))


def abandon_invite(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Nobody will answer the INVITE any more (§9.1)."""
    if usage.invite is not None:
        usage.context.layer.abandon(usage.invite)


def keep_cancel_reason(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The CANCEL has to wait for a provisional response (§9.1)."""
    match event:
        case CancelAsked(q850=q850) | HangUpAsked(q850=q850):
            usage.cancel_q850 = q850


def send_cancel(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """CANCEL, and a limit for the final response that it should bring about (§9.1)."""
    keep_cancel_reason(usage, event, now)
    if usage.invite is None or usage.invite.machine.state is not State.PROCEEDING:
        return
    cancel = cancel_of(usage.invite.request, q850=usage.cancel_q850)
    usage.context.layer.send_cancel(cancel, usage.invite, INDIFFERENT, now)
    usage.set_timer(CancelOverdue(), now + usage.context.layer.timing.timeout_s)


# As callee.


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
            usage.set_timer(AnswerDue(), now + usage.answer_interval_s)
            usage.set_timer(AckOverdue(), now + timing.timeout_s)


def send_update_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to an UPDATE, which needs no ACK (RFC 3311 §5.2)."""
    match event:
        case AcceptAsked(sdp=sdp):
            _respond(usage, _response(usage, 200, sdp=sdp), now)


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
            usage.context.emit(CallConfirmed(dialog=usage.key, sdp=usage.sdp_of(request)))


# Inside the dialog.


def send_bye(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """End the dialog (§15.1.1)."""
    if usage.dialog is None:
        return
    q850 = event.q850 if isinstance(event, HangUpAsked | CancelAsked | RejectAsked) else usage.cancel_q850
    bye = with_reason(_request(usage, usage.dialog, "BYE"), q850)
    usage.context.layer.send_request(bye, usage.flow_of(usage.dialog), usage, now)


def keep_bye_reason(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The BYE has to wait for the ACK (§15)."""
    match event:
        case CancelAsked(q850=q850) | HangUpAsked(q850=q850) | RejectAsked(q850=q850):
            usage.cancel_q850 = q850


def answer_bye(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 (§15.1.2)."""
    match event:
        case ByeReceived(server=server):
            usage.context.layer.respond(server, server.request.response(200), now)


def tell_ended(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Over: by the peer's BYE, or by ours because no ACK came."""
    match event:
        case ByeReceived(server=server):
            usage.context.emit(CallEnded(dialog=usage.key, q850=q850_cause(server.request)))
        case _:
            usage.context.emit(CallEnded(dialog=usage.key, by_peer=False))


def take_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """A re-INVITE or UPDATE is ours to answer from now on."""
    match event:
        case ReinviteReceived(server=server, sdp=sdp) | UpdateReceived(server=server, sdp=sdp):
            usage.incoming = server
            server.user = usage
            usage.context.emit(CallReoffered(dialog=usage.key, sdp=sdp))


def refuse_pending(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Our own INVITE is not answered yet (§14.2, RFC 3311 §5.2)."""
    _refuse(usage, event, 491, (), now)


def refuse_overlapping(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The peer's previous offer is not settled yet (§14.2, RFC 3311 §5.2)."""
    wait_s = usage.context.entropy.integer(0, RETRY_AFTER_MAX_S)
    _refuse(usage, event, 500, (("Retry-After", str(wait_s)),), now)


def refuse_unknown(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The dialog is over."""
    _refuse(usage, event, 481, (), now)


def _refuse(usage: "InviteUsage", event: UsageEvent, status: int, fields: Fields, now: float) -> None:
    match event:
        case ReinviteReceived(server=server) | UpdateReceived(server=server):
            usage.context.layer.respond(server, server.request.response(status, headers=fields), now)


def _request(usage: "InviteUsage", dialog: Dialog, method: str, *, cseq: int | None = None) -> Request:
    request = dialog.request(method, cseq=cseq)
    request.headers.add("User-Agent", usage.context.settings.user_agent)
    return request


def _response(
    usage: "InviteUsage", status: int, phrase: str | None = None, *, sdp: str | None = None, fields: Fields = ()
) -> Response:
    """A response to the request that is pending, with what makes or refreshes the dialog (§12.1.1)."""
    server = _pending(usage)
    headers = list(fields)
    if status < 300:
        local = usage.context.layer.local_address(server.flow)
        headers += [("Contact", f"<{usage.trunk.contact(local)}>"), ("Allow", ALLOW)]
    if sdp is not None:
        headers.append(("Content-Type", SDP_TYPE))
    body = b"" if sdp is None else sdp.encode(errors="replace")
    return server.request.response(status, phrase, to_tag=usage.local_tag, headers=headers, body=body)


def _respond(usage: "InviteUsage", response: Response, now: float) -> None:
    usage.context.layer.respond(_pending(usage), response, now)


def _pending(usage: "InviteUsage") -> ActiveServer:
    if usage.incoming is None:
        raise LookupError("the table allows this only while a request of the peer is pending")
    return usage.incoming
