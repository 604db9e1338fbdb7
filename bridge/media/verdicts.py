"""The verdicts of the media engine."""

from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.media.engine import MediaError

MATRIX_UNACCEPTABLE = Verdict(
    result=Result.CLIENT,
    reason="matrix_media_unacceptable",
    sip_status=488,
    q850=88,
    # Not `user_media_failed`: Element shows that as the other side having no microphone.
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="Your app's audio could not be used for a telephone call.",
)
SIP_UNACCEPTABLE = Verdict(
    result=Result.UPSTREAM,
    reason="sip_media_unacceptable",
    sip_status=488,
    q850=88,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The phone's audio could not be used for this call.",
    retryable=True,
)
NOT_ENCRYPTED = Verdict(
    result=Result.UPSTREAM,
    reason="media_not_encrypted",
    sip_status=488,
    q850=88,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The telephone network would not encrypt the audio of this call.",
)
EXHAUSTED = Verdict(
    result=Result.SERVER,
    reason="media_exhausted",
    sip_status=503,
    q850=34,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="All lines are in use. Please try again in a moment.",
)
UNAVAILABLE = Verdict(
    result=Result.SERVER,
    reason="media_unavailable",
    sip_status=500,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The call could not be set up because of a fault of the bridge.",
)


def matrix_refused(detail: object) -> MediaError:
    """The Matrix side's description cannot be used."""
    return MediaError(MATRIX_UNACCEPTABLE, str(detail))


def sip_refused(detail: object) -> MediaError:
    """The phone's description cannot be used."""
    return MediaError(SIP_UNACCEPTABLE, str(detail))


def not_encrypted(detail: object) -> MediaError:
    """The trunk's calls must be encrypted, and this one cannot be."""
    return MediaError(NOT_ENCRYPTED, str(detail))


def exhausted(detail: str) -> MediaError:
    """No port, socket or slot is left."""
    return MediaError(EXHAUSTED, detail)


def unavailable(detail: str) -> MediaError:
    """Our own fault: a step out of order, a closed session, a step that took too long."""
    return MediaError(UNAVAILABLE, detail)
