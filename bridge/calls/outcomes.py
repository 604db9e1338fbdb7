"""What each way of ending means: one verdict for each, for the metrics, the record, the phone and the Matrix user.

Before an answer a Matrix caller is told with `m.call.reject`; the reasons below are those that clients turn into the
right sound and words ("User busy", "Call declined", "No answer"). Q.850 values follow RFC 3398 §7.2.6.1 and §8.2.6.1.
"""

from dataclasses import replace

from bridge.core.verdict import MatrixReason, Result, Verdict

UNREACHABLE = "The telephone network could not be reached. Please try again in a moment."
FAILED = "The telephone network could not complete this call."

MISSED_CALL = "You missed a call."
"""Said where no device has rung, so that no client shows that there was a call."""

COMPLETED = Verdict(result=Result.SUCCESS, reason="completed", sip_status=200, matrix_reason=MatrixReason.USER_HANGUP)
NO_MEDIA = Verdict(result=Result.SUCCESS, reason="no_media", sip_status=200, matrix_reason=MatrixReason.USER_HANGUP)
"""Answered, as carriers count it (the answer seizure ratio of ITU-T E.411), and hung up before any audio could flow."""
DEAD_AIR_S = 3.0
"""Who waits longer for the first sound gives up on a connection that does not come up."""
MESSAGE_LEFT = Verdict(
    result=Result.SUCCESS, reason="message_left", sip_status=200, matrix_reason=MatrixReason.USER_HANGUP
)
"""Nobody took the call, and the phone has left a message."""
MENU_LEFT = Verdict(result=Result.CLIENT, reason="menu_left", sip_status=200, q850=16)
"""The phone hung up in a spoken menu."""
MENU_OVER = Verdict(result=Result.CLIENT, reason="menu_over", sip_status=200, q850=16)
"""Nothing was chosen in a spoken menu that has nothing else to offer."""
MENU_LIMIT = Verdict(result=Result.POLICY, reason="menu_limit", sip_status=200, q850=31)
"""The phone has walked through menus for too long, or too far."""
TRANSFERRED = Verdict(
    result=Result.SUCCESS, reason="transferred", sip_status=200, matrix_reason=MatrixReason.USER_HANGUP
)
CANCELLED = Verdict(result=Result.CLIENT, reason="cancelled", sip_status=487, matrix_reason=MatrixReason.USER_HANGUP)
CALLER_GAVE_UP_ELSEWHERE = Verdict(
    result=Result.CLIENT,
    reason="answered_elsewhere",
    sip_status=487,
    q850=26,
    matrix_reason=MatrixReason.ANSWERED_ELSEWHERE,
)
TAKEN_BY_ANOTHER = Verdict(
    result=Result.CLIENT,
    reason="answered_elsewhere",
    sip_status=487,
    q850=26,
    matrix_reason=MatrixReason.ANSWERED_ELSEWHERE,
)
"""One of several members has taken the call."""
ANOTHER_ANSWER_SELECTED = Verdict(result=Result.CLIENT, reason="answered_elsewhere", sip_status=487, q850=26)
BUSY = Verdict(result=Result.CLIENT, reason="busy", sip_status=486, q850=17, matrix_reason=MatrixReason.USER_BUSY)
NOT_THERE = Verdict(result=Result.CLIENT, reason="not_there", sip_status=480, q850=20)
"""The user's presence says that nobody would answer, and the user wants no ringing then."""
DECLINED = Verdict(result=Result.CLIENT, reason="declined", sip_status=603, q850=21)
NO_ANSWER = Verdict(
    result=Result.CLIENT, reason="no_answer", sip_status=480, q850=19, matrix_reason=MatrixReason.INVITE_TIMEOUT
)
REDIRECTED = Verdict(
    result=Result.CLIENT,
    reason="redirected",
    sip_status=480,
    q850=23,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="This number has changed.",
)
NOT_IN_SERVICE = Verdict(
    result=Result.CLIENT,
    reason="not_in_service",
    sip_status=404,
    q850=1,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="This number is not in service.",
)
FORBIDDEN_BY_TRUNK = Verdict(
    result=Result.UPSTREAM,
    reason="forbidden_by_trunk",
    sip_status=403,
    q850=21,
    user_text="The telephone network refused this call.",
)
TRUNK_CREDENTIALS = Verdict(
    result=Result.UPSTREAM,
    reason="trunk_credentials",
    sip_status=503,
    q850=38,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The telephone network did not accept this service's credentials. Please tell your administrator.",
    retryable=True,
)
TRUNK_UNREACHABLE = Verdict(
    result=Result.UPSTREAM,
    reason="trunk_unreachable",
    sip_status=503,
    q850=38,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text=UNREACHABLE,
    retryable=True,
)
NO_COMMON_CODEC = Verdict(
    result=Result.UPSTREAM,
    reason="no_common_codec",
    sip_status=488,
    q850=88,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text=FAILED,
)
NO_DESCRIPTION = Verdict(
    result=Result.UPSTREAM,
    reason="no_session_description",
    sip_status=488,
    q850=88,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text=FAILED,
)
NEVER_ACKNOWLEDGED = Verdict(
    result=Result.UPSTREAM,
    reason="ack_missing",
    sip_status=408,
    q850=102,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The call was ended because the phone did not confirm that you had answered.",
)
SESSION_EXPIRED = Verdict(
    result=Result.UPSTREAM,
    reason="session_expired",
    sip_status=408,
    q850=102,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The call was ended because the telephone network no longer responded.",
)
ICE_FAILED = Verdict(
    result=Result.UPSTREAM,
    reason="ice_failed",
    sip_status=480,
    q850=41,
    matrix_reason=MatrixReason.ICE_FAILED,
    user_text="No audio connection with your app could be made. Your network may block calls: try another one.",
)
ICE_TIMEOUT = Verdict(
    result=Result.UPSTREAM,
    reason="ice_timeout",
    sip_status=480,
    q850=41,
    matrix_reason=MatrixReason.ICE_TIMEOUT,
    user_text="The call was ended because no more audio came through.",
)
MEDIA_FAILED = Verdict(
    result=Result.SERVER,
    reason="media_failed",
    sip_status=500,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The call was ended by a fault of the telephone bridge. Please call again.",
    retryable=True,
)
ROOM_LEFT = Verdict(result=Result.CLIENT, reason="room_left", sip_status=480, matrix_reason=MatrixReason.USER_HANGUP)
MATRIX_UNREACHABLE = Verdict(
    result=Result.UPSTREAM,
    reason="homeserver_unreachable",
    sip_status=503,
    q850=38,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
)
STORE_FAILED = Verdict(
    result=Result.SERVER,
    reason="store_failed",
    sip_status=503,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
)
"""The database cannot be written: what is not written down is not promised."""
MATRIX_REFUSED = Verdict(
    result=Result.UPSTREAM,
    reason="homeserver_refused",
    # Of this user, not of us: with 503 a PBX would take us out of service.
    sip_status=480,
    q850=20,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
)
ENDED_BY_OPERATOR = Verdict(
    result=Result.POLICY,
    reason="ended_by_operator",
    sip_status=480,
    q850=31,
    matrix_reason=MatrixReason.USER_HANGUP,
    user_text="An operator has ended the call.",
)
SHUTTING_DOWN = Verdict(
    result=Result.SERVER,
    reason="shutting_down",
    sip_status=503,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The telephone bridge is being restarted. Please call again in a few minutes.",
    retryable=True,
)
INTERNAL_ERROR = Verdict(
    result=Result.SERVER,
    reason="internal_error",
    sip_status=500,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The telephone bridge failed to make this call. The failure has been logged.",
)
BRIDGE_RESTARTED = Verdict(
    result=Result.SERVER,
    reason="abnormal",
    sip_status=500,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The call was ended because the telephone bridge was restarted.",
)

ATTENDANTS_BUSY = Verdict(result=Result.POLICY, reason="attendants_busy", sip_status=486, q850=17)
"""Spoken menus and message boxes hold as many calls of the trunk as they may; busy, for people are still reached."""

OF_TRUNK_LIMITS = {
    "max_calls": Verdict(result=Result.POLICY, reason="max_calls", sip_status=486, q850=17),
    "max_incoming_per_s": Verdict(result=Result.POLICY, reason="max_incoming_per_s", sip_status=503, q850=42),
}
"""A phone's call is more than its trunk is to carry, by the setting that says so; its trunk has been told already."""

MISSED = frozenset(
    verdict.reason for verdict in (CANCELLED, NO_ANSWER, MATRIX_UNREACHABLE, STORE_FAILED, ATTENDANTS_BUSY)
)
"""Ends of a phone's call that its user has to be told of, if no device has rung."""

NO_NUMBER_THERE = Verdict(
    result=Result.POLICY,
    reason="transfer_failed",
    sip_status=480,
    q850=31,
    user_text="A call can be transferred to telephone numbers only, and to users who have one. It has ended.",
)

UNANSWERED = {
    BUSY.reason: "The number you called is busy.",
    DECLINED.reason: "The call was declined.",
    NO_ANSWER.reason: "Nobody answered.",
}
"""What is said of a call that its caller's client takes for one that was answered (early media)."""

_FINAL_RESPONSES: dict[int, Verdict] = {
    401: TRUNK_CREDENTIALS,
    403: FORBIDDEN_BY_TRUNK,
    404: NOT_IN_SERVICE,
    407: TRUNK_CREDENTIALS,
    # A proxy says so of a next hop that is silent; of a phone, only after it has rung.
    408: replace(NO_ANSWER, retryable=True),
    410: NOT_IN_SERVICE,
    480: NO_ANSWER,
    484: NOT_IN_SERVICE,
    486: BUSY,
    487: NO_ANSWER,
    488: NO_COMMON_CODEC,
    600: BUSY,
    603: DECLINED,
    604: NOT_IN_SERVICE,
    606: NO_COMMON_CODEC,
    607: DECLINED,
    608: DECLINED,
}


_OF_THE_CALLEE = frozenset({1, 3, 17, 18, 19, 20, 21, 22, 26, 28})
"""Q.850 causes that would be the same over every trunk: some trunks put them behind a 500 or 503."""
PAYMENT_REQUIRED = 402


def hung_up(*, unheard_s: float | None) -> Verdict:
    """The verdict for an answered call that somebody ends, and that has waited so long for audio in vain, if it has."""
    if unheard_s is None:
        return COMPLETED
    if unheard_s < DEAD_AIR_S:
        return NO_MEDIA
    text = "The call was hung up before any sound came through."
    return replace(NO_MEDIA, result=Result.UPSTREAM, user_text=text)


def attendants_busy(why: Verdict) -> Verdict:
    """The same where a message could be left of a call that nobody takes: its phone hears what it would without."""
    return replace(
        why,
        result=ATTENDANTS_BUSY.result,
        reason=ATTENDANTS_BUSY.reason,
        user_text="The caller could not leave a message, because too many others were leaving one.",
    )


def transfer_failed(why: Verdict | None = None) -> Verdict:
    """A call that its user has left to somebody who did not take it: the phone has nobody left to talk to."""
    said = "" if why is None else why.user_text or UNANSWERED.get(why.reason, "")
    return Verdict(
        result=Result.CLIENT if why is None else why.result,
        reason="transfer_failed",
        sip_status=480,
        q850=31,
        user_text=f"The call could not be transferred, and has ended. {said}".rstrip(),
    )


def of_sip_failure(status: int, *, local: bool, redirected_to: str = "", q850: int | None = None) -> Verdict:
    """The verdict for a final failure of our INVITE; `local` when no response came and the status was made up here.

    A redirection is not followed on the quiet, since it may cost more: the caller can dial the new number.
    """
    if redirected_to and 300 <= status <= 399:
        return replace(REDIRECTED, user_text=f"This number has changed. It is now {redirected_to}.")
    if local and status != 484:  # 484: what was dialled cannot be written as an address
        return TRUNK_UNREACHABLE
    if status in _FINAL_RESPONSES:
        return _FINAL_RESPONSES[status]
    return Verdict(
        result=Result.UPSTREAM,
        reason="trunk_failure",
        sip_status=status if 400 <= status <= 699 else 502,
        q850=41,
        matrix_reason=MatrixReason.UNKNOWN_ERROR,
        user_text=FAILED,
        retryable=(500 <= status <= 599 and q850 not in _OF_THE_CALLEE) or status == PAYMENT_REQUIRED,
    )


def of_emergency(verdict: Verdict) -> Verdict:
    """The same failure where somebody called for help: never shown as a callee who is busy or does not want to.

    What policy refuses has a sentence of its own.
    """
    if verdict.result is Result.POLICY:
        return verdict
    return replace(
        verdict,
        matrix_reason=MatrixReason.UNKNOWN_ERROR,
        user_text="YOUR EMERGENCY CALL COULD NOT BE MADE. Use a mobile phone or another telephone now.",
    )


def of_matrix_refusal(reason: str | None) -> Verdict:
    """The verdict for a reject, or a hangup that counts as one, by the called Matrix user."""
    return BUSY if reason == MatrixReason.USER_BUSY else DECLINED


def of_matrix_hangup(reason: str | None, *, answered: bool) -> Verdict:
    """The verdict for a hangup by the Matrix side, or audio that is lost there; a missing reason is `user_hangup`."""
    lost: dict[str | None, Verdict] = {"ice_failed": ICE_FAILED, "ice_timeout": ICE_TIMEOUT}
    return lost.get(reason) or (COMPLETED if answered else CANCELLED)


PRE_ANSWER_REFUSALS = frozenset({None, MatrixReason.USER_HANGUP, MatrixReason.USER_BUSY})
"""Reasons with which a callee's hangup before an answer means "no"; with others one device is in trouble, not all."""
