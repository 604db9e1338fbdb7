"""What our user may want of a call, and what that means where it could mean two things (RFC 3261 §13 to §15)."""

from bridge.core.values import record_type


@record_type
class RingAsked:
    """Send a provisional response."""

    status: int
    sdp: str | None


@record_type
class AcceptAsked:
    """Send 200, or the answer to a late offer."""

    sdp: str | None


@record_type
class RejectAsked:
    """Send a 300-699 response; `forward_to` is the number that a 3xx sends the caller to."""

    status: int
    reason_phrase: str = ""
    q850: int | None = None
    forward_to: str = ""


@record_type
class CancelAsked:
    """Give up a call that was not answered."""

    q850: int | None = None


@record_type
class HangUpAsked:
    """End the call, whatever its state."""

    q850: int | None = None


@record_type
class ReofferAsked:
    """Offer the peer another session: hold, resume, a new address (§14.1)."""

    sdp: str


UsageCommand = RingAsked | AcceptAsked | RejectAsked | CancelAsked | HangUpAsked | ReofferAsked


# What these commands mean where they could mean two things.


@record_type
class AcceptDeferred:
    """Accept, as soon as the PRACK is here."""

    sdp: str | None


@record_type
class EarlyAnswerAsked:
    """Answer the offer that came beside the INVITE; the call itself is not accepted yet."""

    sdp: str | None


@record_type
class EarlyRefusalAsked:
    """Refuse the offer that came beside the INVITE, and not the call."""

    status: int
