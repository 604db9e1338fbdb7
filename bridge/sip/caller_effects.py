"""What is done on the steps of a call that we place (RFC 3261 §9.1, §13.2)."""

from typing import TYPE_CHECKING

from bridge.core.ids import SipCallId
from bridge.sip.active_transaction import ActiveClient
from bridge.sip.connected import note_party
from bridge.sip.credentials import Attempts
from bridge.sip.dialog import Dialog, Session
from bridge.sip.dialog_request import INDIFFERENT, request_inside
from bridge.sip.errors import SipError
from bridge.sip.events import (
    CallAnswered,
    CallFailed,
    CallProgress,
)
from bridge.sip.message import Request, Response
from bridge.sip.reasons import q850_cause
from bridge.sip.redirects import redirected_to
from bridge.sip.reliable import rseq_of
from bridge.sip.requests import (
    cancel_of,
    copy_credentials,
    repeated,
    with_sdp,
)
from bridge.sip.session_effects import take_agreement
from bridge.sip.transaction import State
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked
from bridge.sip.usage_events import (
    AnswerReceived,
    CancelOverdue,
    ChallengeReceived,
    FailureReceived,
    LongerWanted,
    NoResponse,
    OfferReceived,
    ProgressReceived,
    RedirectReceived,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

MAX_FORKS = 20
"""Early dialogs of one INVITE that are kept; a proxy that forks further is broken or hostile."""


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
            # Without an offer of ours, only a reliable response may bring one: nobody could answer another.
            plain = usage.offered_late and rseq_of(response) is None
            sdp = None if plain else usage.sdp_of(response)
            progress = CallProgress(dialog=usage.key, status=response.status, sdp=sdp)
            usage.context.emit(progress)
            note_party(usage, response)


def confirm(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The first 2xx decides which dialog it is; its Record-Route counts, not an earlier one (§13.2.2.4)."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response):
            if usage.invite is None:
                return
            dialog = _dialog_of(usage, usage.invite.request, response) or trunk_dialog(usage, response)
            early = usage.early.pop(dialog.remote.tag or "", None)
            if early is not None:
                early.confirm_as(dialog)
                dialog = early
            if usage.early_offer is not None and usage.early_offer.dialog is not dialog:
                usage.drop_early_offer(now)
            for other in usage.early.values():
                usage.unregister(other)
            usage.early.clear()
            usage.dialog = dialog
            usage.register(dialog)
            _settle(usage, dialog.session, response)
            take_agreement(usage, response, now)


def _settle(usage: "InviteUsage", session: Session, response: Response) -> None:
    """What a reliable provisional response has settled, no 2xx changes (§13.2.1, RFC 6337 §3.1.1)."""
    if not session.settled:
        session.remote_sdp = usage.sdp_of(response) or session.remote_sdp
        session.settled = True


def acknowledge(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Send the ACK, with our answer where the 2xx brought the offer (§13.2.2.4)."""
    if usage.dialog is not None and usage.invite is not None:
        sdp = event.sdp if isinstance(event, AcceptAsked) else None
        usage.dialog.session.local_sdp = sdp or usage.dialog.session.local_sdp
        _send_ack(usage, usage.invite, usage.dialog, sdp, now)


def reacknowledge(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """A 2xx again: the same ACK. One of another fork: ACK and BYE (§13.2.2.4)."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response):
            known = usage.acks.get(response.to.tag or "")
            if known is not None:
                usage.context.layer.send_ack(*known, now)
            elif not _is_awaited(usage, response) and len(usage.acks) < MAX_FORKS:
                _end_fork(usage, usage.invite, response, now)


def end_late_answer(usage: "InviteUsage", client: ActiveClient, response: Response, now: float) -> None:
    """A target that was given up has answered after all: ACK and BYE, as for a fork (§13.2.2.4)."""
    known = usage.acks.get(response.to.tag or "")
    if known is not None:
        usage.context.layer.send_ack(*known, now)
    elif len(usage.acks) < MAX_FORKS:
        _end_fork(usage, client, response, now)


def _is_awaited(usage: "InviteUsage", response: Response) -> bool:
    return usage.dialog is not None and usage.dialog.remote.tag == response.to.tag


def _end_fork(usage: "InviteUsage", invite: ActiveClient | None, response: Response, now: float) -> None:
    if invite is None:
        return
    dialog = _dialog_of(usage, invite.request, response)
    if dialog is not None:
        _send_ack(usage, invite, dialog, None, now)
        bye = request_inside(usage, dialog, "BYE")
        usage.context.layer.send_request(bye, usage.flow_of(dialog), INDIFFERENT, now)


def _send_ack(usage: "InviteUsage", invite: ActiveClient, dialog: Dialog, sdp: str | None, now: float) -> None:
    ack = request_inside(usage, dialog, "ACK", cseq=invite.request.cseq.number)
    copy_credentials(invite.request, ack)
    flow = usage.flow_of(dialog)
    layer = usage.context.layer
    layer.add_via(with_sdp(ack, sdp), flow, layer.new_branch())
    usage.acks[dialog.remote.tag or ""] = (ack, flow)
    layer.send_ack(ack, flow, now)


def _dialog_of(usage: "InviteUsage", invite: Request, response: Response) -> Dialog | None:
    try:
        dialog = Dialog.from_response(invite, response)
    except SipError:
        usage.context.count("sip_parse_errors_total", kind="dialog")
        return None
    dialog.session.local_sdp = usage.sdp_of(invite)
    dialog.local_cseq += usage.cseq_gap
    return dialog


def trunk_dialog(usage: "InviteUsage", response: Response) -> Dialog:
    """For a 2xx with a Contact or Record-Route that nobody can read: ACK and BYE go where the INVITE went."""
    return Dialog(
        sip_call_id=SipCallId(response.call_id),
        local=response.from_,
        remote=response.to,
        local_cseq=response.cseq.number,
        remote_cseq=None,
        remote_target=usage.trunk.uri(None),
        route_set=(),
        session=Session(local_sdp=usage.sdp_of(usage.invite.request) if usage.invite else None),
    )


def tell_answered(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Answered."""
    match event:
        case AnswerReceived(response=response) | OfferReceived(response=response) if usage.dialog is not None:
            usage.context.emit(CallAnswered(dialog=usage.key, sdp=usage.dialog.session.remote_sdp))
            note_party(usage, response)


def authenticate(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The INVITE again, as a new transaction with credentials (§22.2)."""
    match event:
        case ChallengeReceived(credentials=credentials) if usage.invite is not None and usage.hunt is not None:
            previous = usage.invite
            cseq = previous.request.cseq.number + 1
            again = repeated(previous.request, cseq=cseq, credentials=credentials)
            usage.invite = usage.hunt.repeat(again, now)


def forget_early(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """What rang was of an INVITE that is over; the next has dialogs of its own."""
    for dialog in usage.early.values():
        usage.unregister(dialog)
    usage.early.clear()
    usage.drop_early_offer(now)


def ask_for_longer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The INVITE again with a longer session interval, as a new transaction (RFC 4028 §7.3)."""
    match event:
        case LongerWanted(min_se_s=min_se_s) if usage.invite is not None and usage.hunt is not None:
            usage.lengthen(min_se_s)
            cseq = usage.invite.request.cseq.number + 1
            again = repeated(usage.invite.request, cseq=cseq, credentials=usage.policy.request_fields())
            usage.invite = usage.hunt.repeat(again, now)


def follow_redirect(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The INVITE again, to where a 3xx sent it; who is there has not asked for credentials yet (§8.1.3.4)."""
    match event:
        case RedirectReceived(hops=hops) if usage.hunt is not None:
            usage.attempts = Attempts()
            usage.invite = usage.hunt.redirect(hops, now)
            usage.flow = usage.invite.flow
            usage.context.note("call_redirected", trunk=usage.trunk.trunk.name)


def tell_failed(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """No call: with the peer's status, or one of our own making."""
    match event:
        case FailureReceived(response=response):
            failure = CallFailed(
                dialog=usage.key,
                status=response.status,
                reason_phrase=response.reason_phrase,
                q850=q850_cause(response),
                redirected_to=_redirected_to(usage, response),
            )
            usage.context.emit(failure)
        case NoResponse(status=status):
            usage.context.emit(CallFailed(dialog=usage.key, status=status, local=True))


def tell_silent(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The call goes on elsewhere; should the trunk wake up, it is cancelled before it rings a phone."""
    phrase = "Request Timeout"
    usage.context.emit(CallFailed(dialog=usage.key, status=408, reason_phrase=phrase, local=True))
    usage.set_timer(CancelOverdue(), now + usage.context.layer.timing.timeout_s)


def _redirected_to(usage: "InviteUsage", response: Response) -> str:
    if usage.invite is None or not 300 <= response.status < 400:
        return ""
    return redirected_to(response, usage.invite.request)


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
    """The CANCEL has to wait for a provisional response (§9.1); no other target is tried."""
    if usage.hunt is not None:
        usage.hunt.settle()
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
