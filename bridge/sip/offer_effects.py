"""What is done on the steps of an offer of our own inside a call (RFC 3261 §14.1)."""

from functools import partial
from typing import TYPE_CHECKING

from bridge.sip.connected import note_party
from bridge.sip.dialog_request import refresh_request
from bridge.sip.events import CallReofferAnswered, CallReofferRefused
from bridge.sip.message import Response
from bridge.sip.offering import glare_wait_s, outcome_of
from bridge.sip.requests import with_sdp
from bridge.sip.session_effects import refresh_later, take_agreement
from bridge.sip.usage_commands import ReofferAsked
from bridge.sip.usage_events import (
    DialogLost,
    GlareMet,
    IntervalTooSmall,
    OfferDue,
    ReofferAccepted,
    ReofferRefused,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage


def keep_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """It goes out as soon as nothing else is under way; of several the newest."""
    match event:
        case ReofferAsked(sdp=sdp):
            usage.offering.waiting = sdp


def send_reinvite(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """An INVITE inside the dialog (§14.1)."""
    if usage.dialog is None:
        return
    offer = usage.offering.start(usage.dialog.session)
    request = with_sdp(refresh_request(usage, usage.dialog, "INVITE"), offer)
    usage.ask(usage.dialog, request, partial(_conclude, usage), now)


def send_update(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """An UPDATE in an early dialog, where no re-INVITE may be (RFC 3311 §5.1)."""
    dialog = usage.updatable
    if dialog is not None:
        request = with_sdp(refresh_request(usage, dialog, "UPDATE"), usage.offering.start(dialog.session))
        usage.ask(dialog, request, partial(_conclude, usage), now)


def _conclude(usage: "InviteUsage", status: int, response: Response | None, now: float) -> None:
    usage.handle(outcome_of(status, response), now)


def take_reoffer_answer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Both descriptions count from now on."""
    match event:
        case ReofferAccepted(response=response):
            dialog = usage.dialog_with(response.to.tag or "")
            if dialog is None:
                usage.offering.give_back()  # Another fork has answered meanwhile; it shall have the offer too.
                return
            session, sdp = dialog.session, usage.sdp_of(response)
            news = usage.offering.asked or sdp not in (None, session.remote_sdp)
            session.local_sdp = usage.offering.sent or session.local_sdp
            session.remote_sdp = sdp or session.remote_sdp
            usage.offering.finish()
            if dialog is usage.dialog:
                take_agreement(usage, response, now)
            if news:
                usage.context.emit(CallReofferAnswered(dialog=usage.key, sdp=sdp))
            note_party(usage, response)


def tell_reoffer_refused(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """All stays as it was."""
    match event:
        case (
            ReofferRefused(status=status)
            | GlareMet(status=status)
            | DialogLost(status=status)
            | IntervalTooSmall(status=status)
        ):
            asked = usage.offering.asked
            usage.offering.finish()
            if asked:
                usage.context.emit(CallReofferRefused(dialog=usage.key, status=status))
            else:
                refresh_later(usage, now)


def retry_offer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Again, when the peer is done with its own."""
    match event:
        case GlareMet(wait_s=wait_s):
            if not usage.offering.give_back():
                tell_reoffer_refused(usage, event, now)
                return
            if wait_s is None:
                wait_s = glare_wait_s(usage.context.entropy, owner=usage.invite is not None)
            usage.set_timer(OfferDue(), now + wait_s)


def offer_longer(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """The same offer with a longer session interval (RFC 4028 §7.3)."""
    match event:
        case IntervalTooSmall(min_se_s=min_se_s):
            if not usage.lengthen(min_se_s) or not usage.offering.give_back():
                tell_reoffer_refused(usage, event, now)
