"""What can happen to an invite usage (RFC 3261 §13 to §15, RFC 5057)."""

from bridge.core.values import record_type
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.failover import Hop
from bridge.sip.message import Request, Response
from bridge.sip.usage_commands import AcceptDeferred, EarlyAnswerAsked, EarlyRefusalAsked, UsageCommand

# What comes back for our INVITE and BYE.


@record_type
class TryingReceived:
    """100: the peer has the INVITE."""


@record_type
class ProgressReceived:
    """101 to 199."""

    response: Response


@record_type
class AnswerReceived:
    """2xx."""

    response: Response


@record_type
class OfferReceived:
    """2xx with an offer, to an INVITE without one."""

    response: Response


@record_type
class ChallengeReceived:
    """401 or 407 that we can answer."""

    response: Response
    credentials: tuple[tuple[str, str], ...]


@record_type
class LongerWanted:
    """422 to the INVITE that begins the call: a longer session interval (RFC 4028 §7.3)."""

    min_se_s: int


@record_type
class FailureReceived:
    """300 to 699."""

    response: Response


@record_type
class NoResponse:
    """408 or 503 of our own making (§8.1.3.1)."""

    status: int


@record_type
class RedirectReceived:
    """3xx that we follow (§8.1.3.4)."""

    hops: tuple[Hop, ...]


@record_type
class TargetChanged:
    """Our INVITE is tried at another target, from the beginning (RFC 3263 §4.3)."""


@record_type
class ReofferAccepted:
    """2xx to our re-INVITE, or to an UPDATE with an offer."""

    response: Response


@record_type
class ReofferRefused:
    """Any other final response, or none that ends the call: all stays as it was (§14.1)."""

    status: int


@record_type
class GlareMet:
    """The peer had an offer of its own under way: ours has to come again later (§14.1, RFC 3311 §5.3)."""

    status: int
    wait_s: float | None = None
    """As the peer wishes, if it does."""


@record_type
class DialogLost:
    """481, 408 or silence: the peer is no longer in this call (§12.2.1.2)."""

    status: int


@record_type
class IntervalTooSmall:
    """422 to an offer inside the call: the same again, with a longer session interval (RFC 4028 §7.3)."""

    min_se_s: int
    status: int = 422


@record_type
class RefreshAccepted:
    """2xx to the UPDATE that confirms the session (RFC 4028 §7.4)."""

    response: Response


@record_type
class RefreshRefused:
    """The session has to be confirmed some other way, or later."""

    min_se_s: int = 0
    """What a 422 wants."""
    wait_s: float | None = None
    """After what time the same may succeed: an offer of the peer was under way."""


@record_type
class RefreshLost:
    """481, 408 or silence: the peer is no longer in this call (RFC 4028 §10)."""


@record_type
class ByeFinished:
    """Our BYE was answered, or never will be."""


# What the peer asks.


@record_type
class CancelReceived:
    """The peer gives its INVITE up."""

    request: Request


@record_type
class AckReceived:
    """ACK for our newest 2xx."""

    request: Request


@record_type
class ByeReceived:
    """BYE inside the dialog."""

    server: ActiveServer


@record_type
class ReinviteReceived:
    """INVITE inside the dialog."""

    server: ActiveServer
    sdp: str | None


@record_type
class UpdateReceived:
    """UPDATE with an offer inside the dialog."""

    server: ActiveServer
    sdp: str | None


@record_type
class PrackReceived:
    """PRACK for the provisional response that is out."""

    server: ActiveServer
    sdp: str | None


# Deadlines.


@record_type
class AnswerDue:
    """Our 2xx has to be repeated (§13.3.1.4)."""


@record_type
class AckOverdue:
    """64*T1 passed without ACK (§13.3.1.4)."""


@record_type
class CancelOverdue:
    """64*T1 passed since our CANCEL without a final response (§9.1)."""


@record_type
class RingDue:
    """A minute passed since our last provisional response (§13.3.1.1)."""


@record_type
class OfferDue:
    """An offer of ours that waited may go out."""


@record_type
class ProvisionalDue:
    """Our reliable provisional response has to be repeated (RFC 3262 §3)."""


@record_type
class PrackOverdue:
    """64*T1 passed without PRACK (RFC 3262 §3)."""


@record_type
class PrackMissed:
    """The same of a peer that did not ask for what it does not acknowledge, and that lacks nothing but the ringing."""


@record_type
class RefreshDue:
    """Half of the session interval has passed, and it is ours to confirm it (RFC 4028 §7.2)."""


@record_type
class SessionExpired:
    """Nobody confirmed the session in time (RFC 4028 §10)."""


@record_type
class SilenceLasted:
    """No server of the trunk says anything, and our user has another trunk."""


UsageDeadline = (
    RefreshDue
    | SessionExpired
    | OfferDue
    | ProvisionalDue
    | PrackOverdue
    | PrackMissed
    | AnswerDue
    | AckOverdue
    | CancelOverdue
    | RingDue
)

UsageEvent = (
    UsageCommand
    | TryingReceived
    | ProgressReceived
    | AnswerReceived
    | OfferReceived
    | ChallengeReceived
    | LongerWanted
    | FailureReceived
    | AcceptDeferred
    | EarlyAnswerAsked
    | EarlyRefusalAsked
    | PrackReceived
    | NoResponse
    | ReofferAccepted
    | ReofferRefused
    | GlareMet
    | IntervalTooSmall
    | RefreshAccepted
    | RefreshRefused
    | RefreshLost
    | DialogLost
    | RedirectReceived
    | TargetChanged
    | ByeFinished
    | CancelReceived
    | AckReceived
    | ByeReceived
    | ReinviteReceived
    | UpdateReceived
    | SilenceLasted
    | UsageDeadline
)
