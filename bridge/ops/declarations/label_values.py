"""The closed sets that label values come from, where more than one metric, or anybody else, needs them."""

from bridge.core.verdict import Result
from bridge.ops.declarations.metric import one_of

DIRECTIONS = one_of("outbound", "inbound")
NO_TRUNK = "none"
"""The value of `trunk` for calls that ended before a trunk was chosen."""
RESULTS = frozenset(result.value for result in Result)
WAYS = one_of("in", "out")
LEGS = one_of("matrix", "sip")
METHODS = one_of(
    *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK"),
    *("REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH", "other"),
)
STATUS_CLASSES = one_of("1xx", "2xx", "3xx", "4xx", "5xx", "6xx")
ANSWERS = one_of("2xx", "3xx", "4xx", "5xx")
MEDIA_SERVERS = one_of(*map(str, range(1, 17)))
"""By their place in media.rtpengine."""
TRANSPORTS = one_of("udp", "tcp", "tls")
TLS_FAILURES = one_of(
    *("untrusted", "name", "expired", "no_certificate", "refused", "version", "timeout", "closed", "handshake")
)
COMPONENTS = one_of(
    *("calls", "media", "ops", "sip", "store", "telemetry", "texts", "messages"),
    *("matrix", "matrix_appservice", "matrix_handler", "matrix_membership", "matrix_receiver", "matrix_sender"),
)
CALL_STATES = one_of(
    *("new", "held", "preparing", "dialling", "early_answering", "early", "answering"),
    *("locating", "awaiting_join", "offering", "ringing", "hunting"),
    *("accepting", "replaced", "adopting", "connecting", "connected", "transferring", "replacing", "ended"),
    *("handing_over", "fetching", "joined", "attending", "attended", "in_menu", "telling", "refusing"),
)
CHECKS = one_of("homeserver", "store", "trunks", "media", "media_ports", "event_loop", "not_draining", "self_test")
SELF_TESTS = one_of("echo", "number")
SECTIONS = one_of(
    *("homeserver", "appservice", "sip", "trunks", "numbers", "permissions", "calls", "voicemail", "media", "store"),
    *("ops", "logging", "announcements", "groups", "menus"),
)
"""Of the configuration."""
EVENT_FAULTS = one_of(
    *("state_event", "redacted", "call_id", "too_long", "not_unicode", "no_description", "description_type", "no_sdp"),
    *("invitee", "candidates", "negotiation", "unknown_call", "repeated_invite", "expired_invite", "public_room"),
    *("not_for_us", "not_a_member", "ended_invite", "homeserver_unreachable"),
    *("replaces", "unknown_kind"),
)
SENDS = one_of(
    *("invite", "answer", "candidates", "select_answer", "reject", "hangup", "negotiate", "notice", "other"),
)
CANDIDATE_FAULTS = one_of("unparsable", "transport", "name", "address", "private", "component", "section", "too_many")
REASONS = one_of(
    "abnormal",
    "ack_missing",
    "answered_elsewhere",
    "anonymous",
    "attendants_busy",
    "blocked",
    "busy",
    "calls_at_once",
    "cancelled",
    "completed",
    "cannot_forward",
    "costly_number",
    "declined",
    "do_not_disturb",
    "emergency_refused",
    "ended_by_operator",
    "forbidden_by_trunk",
    "forwarded",
    "homeserver_refused",
    "homeserver_unreachable",
    "ice_failed",
    "ice_timeout",
    "internal_error",
    "invalid_number",
    "limit_reached",
    "matrix_media_unacceptable",
    "message_box",
    "max_calls",
    "max_incoming_per_s",
    "menu_left",
    "menu_limit",
    "menu_over",
    "message_left",
    "messages_full",
    "messages_not_kept",
    "media_exhausted",
    "media_failed",
    "media_not_encrypted",
    "media_unavailable",
    "no_answer",
    "no_common_codec",
    "no_media",
    "no_price",
    "no_session_description",
    "no_trunk",
    "not_one_to_one",
    "nothing_to_replace",
    "not_in_service",
    "not_permitted",
    "not_there",
    "out_of_hours",
    "outbound_is_off",
    "redirected",
    "room_left",
    "room_busy",
    "session_expired",
    "store_failed",
    "suspended",
    "too_many_attempts",
    "too_many_calls",
    "shutting_down",
    "sip_media_unacceptable",
    "transfer_failed",
    "transferred",
    "trunk_credentials",
    "trunk_failure",
    "trunk_out_of_service",
    "trunk_unreachable",
    "unassigned_number",
)
"""Every `Verdict.reason` of the code."""
