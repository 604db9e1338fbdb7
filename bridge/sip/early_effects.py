"""Offers of the peer before the call is answered, and what our user says to them (RFC 3262 §5, RFC 3311 §5.2)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.sip.active_transaction import ActiveServer
from bridge.sip.answers import response_to
from bridge.sip.connected import note_party
from bridge.sip.dialog import Dialog
from bridge.sip.dialog_effects import refuse_overlapping, refuse_pending
from bridge.sip.events import CallReoffered
from bridge.sip.prack import send_prack
from bridge.sip.usage_commands import AcceptAsked, EarlyAnswerAsked, EarlyRefusalAsked, RejectAsked
from bridge.sip.usage_events import PrackReceived, UpdateReceived, UsageEvent

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlyOffer:
    """What waits for our user's answer, beside the INVITE."""

    dialog: Dialog
    sdp: str
    server: ActiveServer | None
    """The UPDATE or PRACK that brought it; `None` when a provisional response did, whose PRACK will have the answer."""


def take_early_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """One offer at a time, and none before the first has its answer (RFC 3311 §5.2)."""
    match event:
        case UpdateReceived(server=server, sdp=sdp) | PrackReceived(server=server, sdp=sdp):
            dialog = usage.dialog_of(server.request)
            if dialog is None or sdp is None:
                return
            if usage.early_offer is not None or not (dialog.session.settled or _is_ours(usage)):
                refuse_overlapping(usage, event, now)
            elif usage.offering.sent is not None or not dialog.session.settled:
                refuse_pending(usage, event, now)
            else:
                usage.early_offer = EarlyOffer(dialog=dialog, sdp=sdp, server=server)
                usage.context.emit(CallReoffered(dialog=usage.key, sdp=sdp))
                note_party(usage, server.request)


def _is_ours(usage: "InviteUsage") -> bool:
    """Whether the first offer of the call was, or will be, ours: the caller's unless its INVITE had none."""
    return (usage.invite is None) is usage.offered_late


def answer_early_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """200 to the UPDATE or PRACK, or the PRACK that has our answer."""
    match event:
        case AcceptAsked(sdp=sdp) | EarlyAnswerAsked(sdp=sdp):
            offer, usage.early_offer = usage.early_offer, None
            if offer is None:
                usage.context.count("sip_late_commands_total", command="AcceptAsked")
                return
            session = offer.dialog.session
            session.local_sdp, session.remote_sdp, session.settled = sdp, offer.sdp, True
            if offer.server is None:
                send_prack(usage, offer.dialog, sdp, now)
                return
            usage.context.layer.respond(offer.server, response_to(usage, offer.server, 200, sdp=sdp), now)
            if offer.server.request.method == "UPDATE":
                usage.follow(offer.dialog, offer.server.request)


def refuse_early_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """All stays as it was; an offer that only a PRACK can answer goes on waiting."""
    match event:
        case RejectAsked(status=status) | EarlyRefusalAsked(status=status):
            offer = usage.early_offer
            if offer is None or offer.server is None:
                usage.context.count("sip_late_commands_total", command="RejectAsked")
                return
            usage.early_offer = None
            usage.context.layer.respond(offer.server, response_to(usage, offer.server, status), now)
