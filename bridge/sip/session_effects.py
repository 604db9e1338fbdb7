"""What is done to keep a call confirmed, and to end one that is not any more (RFC 4028 §7 to §10)."""

from functools import partial
from typing import TYPE_CHECKING

from bridge.sip.active_transaction import ActiveServer
from bridge.sip.connected import note_party
from bridge.sip.context import Context
from bridge.sip.dialog_request import refresh_request
from bridge.sip.events import CallEnded
from bridge.sip.message import Request, Response
from bridge.sip.offering import MAX_RETRIES, glare_wait_s, outcome_of
from bridge.sip.requests import Fields
from bridge.sip.session_timer import Asked, Policy, SessionInterval, answer_fields, session_expires_of
from bridge.sip.usage_events import (
    DialogLost,
    GlareMet,
    IntervalTooSmall,
    RefreshAccepted,
    RefreshDue,
    RefreshLost,
    RefreshRefused,
    ReofferAccepted,
    SessionExpired,
    UsageEvent,
)

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

_WORTH_A_RETRY_S = 1.0


def agree(usage: "InviteUsage", request: Request, now: float) -> Fields:
    """Answer what the peer's request asks: the fields of our 2xx (§9)."""
    agreed = usage.policy.answer(Asked.by(request))
    _watch(usage, agreed, now)
    return answer_fields(agreed)


def take_agreement(usage: "InviteUsage", response: Response, now: float) -> None:
    """The peer's 2xx to our INVITE or UPDATE says what holds from now on (§7.2)."""
    _watch(usage, usage.policy.accepted(session_expires_of(response)), now)


def _watch(usage: "InviteUsage", agreed: SessionInterval | None, now: float) -> None:
    usage.interval, usage.refresh_retries = agreed, 0
    usage.stop_timer(RefreshDue)
    usage.stop_timer(SessionExpired)
    if agreed is not None:
        usage.set_timer(SessionExpired(), now + agreed.ends_after_s)
    if agreed is not None and agreed.ours:
        usage.set_timer(RefreshDue(), now + agreed.refresh_after_s)


def refresh(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """UPDATE where the peer takes it, for it disturbs nothing; else a re-INVITE, when its time has come (§7.4)."""
    if usage.dialog is None:
        return
    if "UPDATE" in usage.dialog.allowed:
        request = refresh_request(usage, usage.dialog, "UPDATE")
        usage.ask(usage.dialog, request, partial(_conclude, usage), now)
    elif usage.dialog.session.local_sdp is not None:
        usage.offering.refresh = True


def _conclude(usage: "InviteUsage", status: int, response: Response | None, now: float) -> None:
    match outcome_of(status, response):
        case ReofferAccepted(response=accepted):
            usage.handle(RefreshAccepted(response=accepted), now)
        case DialogLost():
            usage.handle(RefreshLost(), now)
        case GlareMet(wait_s=wait_s):
            wait_s = _glare_wait_s(usage) if wait_s is None else wait_s
            usage.handle(RefreshRefused(wait_s=wait_s), now)
        case IntervalTooSmall(min_se_s=min_se_s):
            usage.handle(RefreshRefused(min_se_s=min_se_s), now)
        case _:
            usage.handle(RefreshRefused(), now)


def _glare_wait_s(usage: "InviteUsage") -> float:
    return glare_wait_s(usage.context.entropy, owner=usage.invite is not None)


def take_refresh(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Confirmed for another while."""
    match event:
        case RefreshAccepted(response=response):
            take_agreement(usage, response, now)
            note_party(usage, response)


def retry_refresh(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """With a longer interval, or later, or by re-INVITE."""
    match event:
        case RefreshRefused(min_se_s=min_se_s) if min_se_s and usage.lengthen(min_se_s):
            usage.set_timer(RefreshDue(), now)
        case RefreshRefused(wait_s=float() | int() as wait_s) if usage.refresh_retries < MAX_RETRIES:
            usage.refresh_retries += 1
            usage.set_timer(RefreshDue(), now + wait_s)
        case RefreshRefused() if usage.dialog is not None:
            usage.dialog.allowed -= {"UPDATE"}
            usage.set_timer(RefreshDue(), now)


def refresh_later(usage: "InviteUsage", now: float) -> None:
    """A re-INVITE that only confirms was refused: again at half of the time that is left."""
    end = usage.timers.get(SessionExpired)
    wait_s = (end.deadline - now) / 2 if end is not None else 0.0
    if wait_s >= _WORTH_A_RETRY_S:
        usage.set_timer(RefreshDue(), now + wait_s)


def tell_expired(usage: "InviteUsage", event: UsageEvent, now: float) -> None:
    """Nobody is there any more."""
    expired = not isinstance(event, DialogLost) or not usage.offering.asked
    usage.context.emit(CallEnded(dialog=usage.key, by_peer=False, expired=expired))


def refuses_interval(context: Context, policy: Policy, server: ActiveServer, now: float) -> bool:
    """422 to one who would have the call confirmed too often (RFC 4028 §9)."""
    if not policy.is_too_short(Asked.by(server.request)):
        return False
    context.answer(server, 422, now, (("Min-SE", str(policy.min_se_s)),))
    return True
