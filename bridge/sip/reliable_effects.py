"""What is done for provisional responses and their PRACKs, as caller and as callee (RFC 3262, RFC 6337 §3.1)."""

from typing import TYPE_CHECKING

from bridge.sip.answers import pending, respond, response_to_pending
from bridge.sip.dialog import Dialog
from bridge.sip.early_effects import EarlyOffer, take_early_offer
from bridge.sip.message import Response
from bridge.sip.prack import send_prack
from bridge.sip.reliable import OPTION, Provisionals, rseq_of
from bridge.sip.usage_commands import AcceptDeferred, RingAsked
from bridge.sip.usage_events import (
    PrackMissed,
    PrackOverdue,
    PrackReceived,
    ProgressReceived,
    ProvisionalDue,
    RingDue,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

RING_INTERVAL_S = 60.0
"""A callee that takes long repeats its provisional response each minute, or proxies give up (RFC 3261 §13.3.1.1)."""


# Caller.


def acknowledge_progress(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """PRACK, unless it has to carry an answer that our user has not given yet (RFC 3262 §4, §5)."""
    match event:
        case ProgressReceived(response=response):
            dialog = usage.early.get(response.to.tag or "")
            if dialog is None:
                return
            rseq = rseq_of(response)
            offer = _take_description(usage, dialog, response, reliable=rseq is not None)
            if rseq is None:
                return
            dialog.rseq = rseq
            if offer is not None and usage.early_offer is None:
                usage.early_offer = EarlyOffer(dialog=dialog, sdp=offer, server=None)
            else:
                send_prack(usage, dialog, None, now)


def _take_description(usage: "InviteUsage", dialog: Dialog, response: Response, *, reliable: bool) -> str | None:
    """Note the answer in a provisional response; the description is returned when it is an offer (RFC 3261 §13.2.1)."""
    session, sdp = dialog.session, usage.sdp_of(response)
    if sdp is None or session.settled:
        return None
    if usage.offered_late:
        return sdp if reliable else None
    session.remote_sdp = sdp
    session.settled = reliable
    return None


# Callee.


def send_provisional(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Ringing, with early media if there is any."""
    match event:
        case RingAsked() if usage.provisionals is not None:
            usage.provisionals.queue(event)
            _send_queued(usage, usage.provisionals, now)
        case RingAsked(status=status, sdp=sdp):
            # An offer may only be where its answer can come back (RFC 3261 §13.2.1).
            sdp = None if usage.offered_late else sdp
            usage.answer = response_to_pending(usage, status, sdp=sdp)
            respond(usage, usage.answer, now)
            usage.set_timer(RingDue(), now + RING_INTERVAL_S)


def repeat_ringing(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Keep proxies on the way from giving up; a reliable one is a new one each time."""
    if usage.answer is None:
        return
    if usage.provisionals is not None:
        usage.provisionals.queue(RingAsked(status=usage.answer.status, sdp=None))
        _send_queued(usage, usage.provisionals, now)
    else:
        respond(usage, usage.answer, now)
        usage.set_timer(RingDue(), now + RING_INTERVAL_S)


def _send_queued(usage: "InviteUsage", provisionals: Provisionals, now: float) -> None:
    ring = provisionals.queued
    if ring is None or provisionals.unacknowledged is not None or usage.dialog is None:
        return
    session, timing = usage.dialog.session, usage.context.layer.timing
    sdp = ring.sdp if session.local_sdp is None else None
    session.local_sdp = session.local_sdp or sdp
    provisionals.rseq += 1
    fields = (("Require", OPTION), ("RSeq", str(provisionals.rseq)))
    usage.answer = response_to_pending(usage, ring.status, sdp=sdp, fields=fields)
    provisionals.queued, provisionals.unacknowledged = None, usage.answer
    provisionals.interval_s = timing.t1_s
    respond(usage, usage.answer, now)
    usage.set_timer(ProvisionalDue(), now + provisionals.interval_s)
    insists = sdp is not None or OPTION in pending(usage).request.require
    usage.set_timer(PrackOverdue() if insists else PrackMissed(), now + timing.timeout_s)
    usage.set_timer(RingDue(), now + RING_INTERVAL_S)


def repeat_provisional(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Until the PRACK comes, at doubling intervals (RFC 3262 §3)."""
    provisionals, server = usage.provisionals, usage.incoming
    if provisionals is None or provisionals.unacknowledged is None or server is None:
        return
    usage.context.layer.respond(server, provisionals.unacknowledged, now, again=True)
    provisionals.interval_s *= 2
    usage.set_timer(ProvisionalDue(), now + provisionals.interval_s)


def take_prack(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The peer has our provisional response; with an answer if that had our offer, or with a new offer (§5)."""
    match event:
        case PrackReceived(server=server, sdp=sdp) if usage.provisionals is not None and usage.dialog is not None:
            described = bool(usage.provisionals.unacknowledged and usage.provisionals.unacknowledged.body)
            usage.provisionals.unacknowledged = None
            usage.stop_timer(ProvisionalDue)
            usage.stop_timer(PrackOverdue)
            usage.stop_timer(PrackMissed)
            answers = described and usage.offered_late
            usage.kept_answer = sdp if answers else None
            _settle(usage.dialog, usage.kept_answer, settles=described and (sdp is not None or not answers))
            if sdp is not None and not answers:
                take_early_offer(usage, event, now)
            else:
                usage.context.layer.respond(server, server.request.response(200), now)
            _send_queued(usage, usage.provisionals, now)


def _settle(dialog: Dialog, answer: str | None, *, settles: bool) -> None:
    dialog.session.remote_sdp = answer or dialog.session.remote_sdp
    dialog.session.settled = dialog.session.settled or settles


def answer_prack(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """It comes after our final response, which said all (§3)."""
    match event:
        case PrackReceived(server=server):
            if usage.provisionals is not None:
                usage.provisionals.unacknowledged = None
            usage.context.layer.respond(server, server.request.response(200), now)


def keep_acceptance(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The 2xx has to wait for the PRACK (§3)."""
    match event:
        case AcceptDeferred(sdp=sdp) if usage.provisionals is not None:
            usage.accepted_sdp, usage.provisionals.queued = sdp, None


def ring_on(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Ring as for any other peer: some say that they know 100rel, and a proxy on the way keeps the PRACK.

    §3 would have the call refused; but it is the phone of a caller who hears it ring.
    """
    provisionals, usage.provisionals = usage.provisionals, None
    if provisionals is None or usage.answer is None:
        return
    usage.stop_timer(ProvisionalDue)
    usage.context.note("prack_missed", warning=True, trunk=usage.trunk.trunk.name)
    ring = provisionals.queued or RingAsked(status=usage.answer.status, sdp=None)
    send_provisional(usage, ring, now)


def send_timeout(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """No PRACK in 64*T1: the INVITE is refused (§3)."""
    respond(usage, response_to_pending(usage, 504), now)
