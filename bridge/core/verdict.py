"""One verdict per failure: what happened, whose doing it was, and what each side is told."""

import enum
from dataclasses import dataclass


class Result(enum.StrEnum):
    """Whose doing the outcome was. A busy callee is not our fault, and the metrics say so."""

    SUCCESS = "success"
    CLIENT = "client"
    """A person's doing: busy, declined, not answered, cancelled, a wrong number."""
    POLICY = "policy"
    """Refused by the configuration."""
    UPSTREAM = "upstream"
    """The trunk's, the network's or the homeserver's doing."""
    SERVER = "server"
    """Our doing: a bug or a lack of resources."""


class MatrixReason(enum.StrEnum):
    """The `reason` values that every client knows.

    Element Android drops a whole hangup or reject that carries any other string.
    """

    ICE_FAILED = "ice_failed"
    ICE_TIMEOUT = "ice_timeout"
    USER_HANGUP = "user_hangup"
    REPLACED = "replaced"
    USER_MEDIA_FAILED = "user_media_failed"
    INVITE_TIMEOUT = "invite_timeout"
    UNKNOWN_ERROR = "unknown_error"
    USER_BUSY = "user_busy"
    ANSWERED_ELSEWHERE = "answered_elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a call attempt, decided where it is understood and carried unchanged to every observer."""

    result: Result
    reason: str
    """A snake_case word from a closed set: a metrics label and the `reason` of logs and call records."""
    sip_status: int = 500
    """What a waiting SIP INVITE is answered with, 400 to 699; 302 when the called user has forwarded the call."""
    q850: int = 16
    """Cause value of a Reason header (RFC 3326, ITU-T Q.850)."""
    matrix_reason: MatrixReason | None = None
    """`reason` of the reject or hangup; `None` leaves it out, which clients read as "declined"."""
    user_text: str | None = None
    """A sentence for the Matrix user, sent as `m.notice`; `None` when the client's own wording is enough."""
    retryable: bool = False
    """Whether the same call through another trunk could succeed."""
