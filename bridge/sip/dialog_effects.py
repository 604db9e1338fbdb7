"""What is done inside a dialog: offers of the peer, and the end (RFC 3261 §14.2, §15)."""

from functools import partial
from typing import TYPE_CHECKING

from bridge.sip.connected import note_party
from bridge.sip.dialog_request import request_inside
from bridge.sip.events import (
    CallEnded,
    CallReoffered,
)
from bridge.sip.message import Response
from bridge.sip.reasons import q850_cause
from bridge.sip.requests import (
    Fields,
    with_reason,
)
from bridge.sip.usage_commands import CancelAsked, HangUpAsked, RejectAsked
from bridge.sip.usage_events import (
    ByeFinished,
    ByeReceived,
    PrackReceived,
    ReinviteReceived,
    UpdateReceived,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

RETRY_AFTER_MAX_S = 10
"""RFC 3261 §14.2."""


def send_bye(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """End the dialog (§15.1.1)."""
    if usage.dialog is None:
        return
    q850 = event.q850 if isinstance(event, HangUpAsked | CancelAsked | RejectAsked) else usage.cancel_q850
    bye = with_reason(request_inside(usage, usage.dialog, "BYE"), q850)
    usage.ask(usage.dialog, bye, partial(_finish, usage), now)


def _finish(usage: "InviteUsage", status: int, response: Response | None, now: float) -> None:
    usage.handle(ByeFinished(), now)


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
            note_party(usage, server.request)


def refuse_pending(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Our own INVITE is not answered yet (§14.2, RFC 3311 §5.2)."""
    _refuse(usage, event, 491, (), now)


def refuse_overlapping(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The peer's previous offer is not settled yet (§14.2, RFC 3311 §5.2)."""
    wait_s = usage.context.entropy.integer(0, RETRY_AFTER_MAX_S)
    _refuse(usage, event, 500, (("Retry-After", str(wait_s)),), now)


def refuse_unacknowledged(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Our 2xx has no ACK yet. If that is to answer an offer of ours, the peer's would cross it (RFC 3311 §5.2)."""
    asked, said = usage.incoming, usage.answer
    offers = asked is not None and said is not None and bool(said.body) and not asked.request.body
    (refuse_pending if offers else refuse_overlapping)(usage, event, now)


def refuse_unknown(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The dialog is over."""
    _refuse(usage, event, 481, (), now)


def _refuse(usage: "InviteUsage", event: UsageEvent, status: int, fields: Fields, now: float) -> None:
    match event:
        case ReinviteReceived(server=server) | UpdateReceived(server=server) | PrackReceived(server=server):
            usage.context.layer.respond(server, server.request.response(status, headers=fields), now)
