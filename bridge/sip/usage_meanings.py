"""What a response to our INVITE, or a command of our user, means for a call as it stands (RFC 3261 §13.2.2, §13.3)."""

from typing import TYPE_CHECKING

from bridge.sip.active_transaction import ActiveClient
from bridge.sip.failover import Hop
from bridge.sip.message import Response
from bridge.sip.prack import MAX_UNANSWERED
from bridge.sip.redirects import redirections
from bridge.sip.reliable import is_in_order, rseq_of
from bridge.sip.session_timer import MAX_LONGER, min_se_of
from bridge.sip.usage_commands import AcceptAsked, AcceptDeferred, EarlyAnswerAsked, EarlyRefusalAsked, RejectAsked
from bridge.sip.usage_events import (
    AnswerReceived,
    ChallengeReceived,
    FailureReceived,
    LongerWanted,
    OfferReceived,
    ProgressReceived,
    RedirectReceived,
    TryingReceived,
    UsageEvent,
)
from bridge.sip.usage_states import UsageState

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

_AGAIN = (UsageState.CALLING, UsageState.PROCEEDING)
"""Where the INVITE may be sent once more, with what its refusal wants."""


def meaning_of_command(usage: "InviteUsage", event: UsageEvent) -> UsageEvent:
    """What our user means may depend on what the peer waits for besides its INVITE.

    A description that is not acceptable (488) is one that was offered; any other refusal ends the call.
    """
    if usage.state is not UsageState.RINGING:
        return event
    match event:
        case AcceptAsked(sdp=sdp) if usage.early_offer is not None:
            return EarlyAnswerAsked(sdp=sdp)
        case RejectAsked(status=488) if usage.early_offer is not None:
            return EarlyRefusalAsked(status=488)
        case AcceptAsked(sdp=sdp) if usage.provisionals is not None and usage.provisionals.hold_answer:
            return AcceptDeferred(sdp=sdp)
        case _:
            return event


def meaning_of_response(
    usage: "InviteUsage", client: ActiveClient, response: Response, now: float
) -> UsageEvent | None:
    """What a response to our newest INVITE is to the call; `None` if it is not worked on."""
    if response.status == 100:
        return TryingReceived()
    if response.status < 200:
        return ProgressReceived(response=response) if _may_take(usage, response) else None
    if response.status < 300:
        late = _is_late_offer(usage, client, response)
        return OfferReceived(response=response) if late else AnswerReceived(response=response)
    return _meaning_of_failure(usage, client, response, now)


def _may_take(usage: "InviteUsage", response: Response) -> bool:
    """Whether a provisional response is worked on; one that wants yet another PRACK may come again (RFC 3262 §4).

    Each PRACK that nobody answers is repeated: a flood of responses must not become a larger one of ours.
    """
    if rseq_of(response) is not None and usage.pracks >= MAX_UNANSWERED:
        usage.context.count("sip_dropped_total", reason="overload")
        return False
    return is_in_order(response, usage.early.get(response.to.tag or ""))


def _is_late_offer(usage: "InviteUsage", client: ActiveClient, response: Response) -> bool:
    """Whether a 2xx has the first description of the call, so that ours is the answer (§13.2.1)."""
    early = usage.early.get(response.to.tag or "")
    settled = early is not None and early.session.settled
    return not settled and not client.request.body and usage.sdp_of(response) is not None


def _meaning_of_failure(usage: "InviteUsage", client: ActiveClient, response: Response, now: float) -> UsageEvent:
    if usage.state not in _AGAIN:
        return FailureReceived(response=response)
    if response.status in (401, 407):
        credentials = usage.trunk.credentials_for(client, response, usage.attempts)
        if credentials:
            return ChallengeReceived(response=response, credentials=tuple(credentials))
    longer = response.status == 422 and min_se_of(response) > usage.policy.interval_s
    if longer and usage.longer_asked < MAX_LONGER:
        return LongerWanted(min_se_s=min_se_of(response))
    hops = _redirections(usage, client, response, now)
    return RedirectReceived(hops=hops) if hops else FailureReceived(response=response)


def _redirections(usage: "InviteUsage", client: ActiveClient, response: Response, now: float) -> tuple[Hop, ...]:
    """Where a 3xx sends the call, if the trunk may redirect it at all."""
    if response.status >= 400 or not usage.trunk.trunk.follow_redirects:
        return ()
    usage.uris.add(client.request.uri_text)
    hops = redirections(
        response, client.request, usage.trunk, context=usage.context, like=client.flow, tried=usage.uris, now=now
    )
    return tuple(hops)
