"""Why a call may not be made: one verdict for each rule, with the sentence that its user reads."""

from bridge.core.verdict import MatrixReason, Result, Verdict

NOT_PERMITTED = Verdict(
    result=Result.POLICY,
    reason="not_permitted",
    sip_status=403,
    q850=21,
    user_text="You are not permitted to call this number. Please ask your administrator.",
)
COSTLY_NUMBER = Verdict(
    result=Result.POLICY,
    reason="costly_number",
    sip_status=403,
    q850=21,
    user_text="Calls to this number are charged at a special rate, and you are not permitted to make them.",
)
OUTBOUND_IS_OFF = Verdict(
    result=Result.POLICY,
    reason="outbound_is_off",
    sip_status=403,
    q850=21,
    user_text="Calls to the telephone network are not enabled for you. Please ask your administrator.",
)
NO_NUMBER = Verdict(
    result=Result.POLICY,
    reason="invalid_number",
    sip_status=484,
    q850=28,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="This is not a telephone number that can be called.",
)
NO_TRUNK = Verdict(
    result=Result.SERVER,
    reason="no_trunk",
    sip_status=503,
    q850=38,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="No connection to the telephone network is configured. Please tell your administrator.",
)
NO_EMERGENCY_CALLS = Verdict(
    result=Result.POLICY,
    reason="emergency_refused",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="EMERGENCY CALLS CANNOT BE MADE FROM HERE. Use a mobile phone or another telephone now.",
)
NO_FORWARDING = Verdict(
    result=Result.POLICY,
    reason="cannot_forward",
    sip_status=403,
    q850=21,
    user_text="Your connection to the telephone network cannot forward calls.",
)
NO_UNMETERED_CALLS = Verdict(
    result=Result.POLICY,
    reason="cannot_forward",
    sip_status=403,
    q850=21,
    user_text="Calls cannot be forwarded within your limits: nobody here would see how long they last.",
)
FORWARDED_TO_SELF = Verdict(
    result=Result.POLICY,
    reason="cannot_forward",
    sip_status=403,
    q850=21,
    user_text="This is your own number.",
)
UNKNOWN_NUMBER = Verdict(result=Result.CLIENT, reason="unassigned_number", sip_status=404, q850=1)
"""Nobody has the number that a phone called."""
