"""Where an invite usage stands (RFC 3261 §13 to §15, RFC 5057)."""

import enum


class UsageState(enum.Enum):
    """Where a call stands, from its INVITE to its end."""

    CALLING = enum.auto()
    """Our INVITE is out, nothing came back."""
    PROCEEDING = enum.auto()
    """A provisional response came."""
    CANCEL_QUEUED = enum.auto()
    """Given up before any response came: CANCEL must wait for one (§9.1)."""
    CANCELLING = enum.auto()
    """CANCEL is out, the final response to the INVITE is awaited."""
    ANSWER_OWED = enum.auto()
    """The 2xx to our INVITE without offer brought one: the ACK waits for our answer (§13.2.1)."""
    RINGING = enum.auto()
    """The peer's INVITE waits for us."""
    UNSURE = enum.auto()
    """As before when an earlier process wrote it down, which may have answered it since."""
    ANSWERED = enum.auto()
    """Our 2xx is out, its ACK awaited."""
    HANGING_UP = enum.auto()
    """As before, and a BYE follows the ACK: a callee must not send it earlier (§15)."""
    ESTABLISHED = enum.auto()
    REOFFERED = enum.auto()
    """The peer's re-INVITE waits for us."""
    UPDATE_OFFERED = enum.auto()
    """The peer's UPDATE with an offer waits for us (RFC 3311)."""
    REOFFERING = enum.auto()
    """Our re-INVITE waits for the peer."""
    ACCEPTING = enum.auto()
    """Accepted, but a 2xx has to wait for the PRACK of a provisional response with a description (RFC 3262 §3)."""
    REANSWERED = enum.auto()
    """Our 2xx to a re-INVITE is out, its ACK awaited."""
    ENDING = enum.auto()
    """Our BYE is out."""
    ENDED = enum.auto()

    __hash__ = object.__hash__
    """As that of the transactions' states: rows are looked up by it for each message."""


DIALLING = frozenset((UsageState.CALLING, UsageState.PROCEEDING, UsageState.CANCEL_QUEUED, UsageState.CANCELLING))
CALLED = frozenset((UsageState.RINGING, UsageState.UNSURE, UsageState.ACCEPTING))
UNANSWERED = DIALLING | CALLED
OVER = frozenset((UsageState.HANGING_UP, UsageState.ENDING, UsageState.ENDED))
"""Our user knows already that the call is over."""
