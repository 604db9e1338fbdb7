"""Every metric of Trunkline, declared once: name, kind, what it says, labels and the values that they may take.

Names follow Prometheus: base units, `_total` for counters. A label value always comes from a closed set, never from a
user, a room, a number or a Call-ID, because every value is a time series that is kept for ever.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.verdict import Result


class Kind(enum.Enum):
    """What a metric does over time."""

    COUNTER = enum.auto()
    GAUGE = enum.auto()
    HISTOGRAM = enum.auto()


class Open(enum.Enum):
    """Label values that are not listed here, and bounded all the same."""

    TRUNKS = enum.auto()
    """The trunks of the configuration."""
    CLASSES = enum.auto()
    """Names of classes of our own code."""


LabelValues = frozenset[str] | Open

OPERATION_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Buckets of things that a program does."""
CALL_S = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0)
"""Buckets of things that people do."""
LAG_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Buckets of delays that audio (a packet every 20 ms) can or cannot bear."""
STORE_S = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Buckets of a database on a disk of this machine."""
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
OPINIONS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.4)
"""Buckets of mean opinion scores: 3.1 is where many users are dissatisfied, 4.0 where all are satisfied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One declaration."""

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, LabelValues] = field(default_factory=dict)
    buckets: Sequence[float] = OPERATION_S


def _of(*values: str) -> frozenset[str]:
    return frozenset(values)


DIRECTIONS = _of("outbound", "inbound")
TRUNKS, CLASSES = Open.TRUNKS, Open.CLASSES
NO_TRUNK = "none"
"""The value of `trunk` for calls that ended before a trunk was chosen."""
RESULTS = frozenset(result.value for result in Result)
WAYS = _of("in", "out")
LEGS = _of("matrix", "sip")
METHODS = _of(
    *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK"),
    *("REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH", "other"),
)
STATUS_CLASSES = _of("1xx", "2xx", "3xx", "4xx", "5xx", "6xx")
ANSWERS = _of("2xx", "4xx", "5xx")
MEDIA_SERVERS = _of(*map(str, range(1, 17)))
TRANSPORTS = _of("udp", "tcp", "tls")
TLS_FAILURES = _of(
    *("untrusted", "name", "expired", "no_certificate", "refused", "version", "timeout", "closed", "handshake")
)
COMPONENTS = _of(
    *("calls", "media", "ops", "sip", "store", "telemetry", "texts", "messages"),
    *("matrix", "matrix_appservice", "matrix_handler", "matrix_membership", "matrix_receiver", "matrix_sender"),
)
CALL_STATES = _of(
    *("new", "held", "preparing", "dialling", "early_answering", "early", "answering"),
    *("locating", "awaiting_join", "offering", "ringing", "hunting"),
    *("accepting", "replaced", "adopting", "connecting", "connected", "transferring", "replacing", "ended"),
    *("handing_over", "fetching", "joined", "attending", "attended", "in_menu", "telling", "refusing"),
)
CHECKS = _of("homeserver", "store", "trunks", "media", "media_ports", "event_loop", "not_draining", "self_test")
SELF_TESTS = _of("echo", "number")
SECTIONS = _of(
    *("homeserver", "appservice", "sip", "trunks", "numbers", "permissions", "calls", "voicemail", "media", "store"),
    *("ops", "logging", "announcements", "groups", "menus"),
)
"""Of the configuration."""
EVENT_FAULTS = _of(
    *("state_event", "redacted", "call_id", "too_long", "not_unicode", "no_description", "description_type", "no_sdp"),
    *("invitee", "candidates", "negotiation", "unknown_call", "repeated_invite", "expired_invite", "public_room"),
    *("not_for_us", "not_a_member", "ended_invite", "homeserver_unreachable"),
    *("replaces", "unknown_kind"),
)
SENDS = _of(
    *("invite", "answer", "candidates", "select_answer", "reject", "hangup", "negotiate", "notice", "other"),
)
CANDIDATE_FAULTS = _of("unparsable", "transport", "name", "address", "private", "component", "section", "too_many")
REASONS = _of(
    "abnormal",
    "ack_missing",
    "answered_elsewhere",
    "anonymous",
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


def _counter(name: str, help: str, **labels: LabelValues) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=help, labels=labels)


def _gauge(name: str, help: str, **labels: LabelValues) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=help, labels=labels)


def _histogram(name: str, help: str, buckets: Sequence[float], **labels: LabelValues) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help, labels=labels, buckets=buckets)


METRICS: tuple[Metric, ...] = (
    # The process.
    _counter("internal_errors_total", "Faults of Trunkline itself: each one is a bug.", component=COMPONENTS),
    _histogram("event_loop_lag_seconds", "How late an event loop is.", LAG_S, loop=_of("signalling", "media")),
    _gauge("tasks", "asyncio tasks of the signalling loop."),
    _gauge("check_passes", "1 while a check of /readyz passes.", check=CHECKS),
    _histogram("db_seconds", "How long the database takes, queue included.", STORE_S, operation=_of("read", "write")),
    _gauge("store_disk_free_ratio", "Free share of the disk that has the database."),
    _counter("log_lines_dropped_total", "Log lines lost because their reader did not keep up or went away."),
    _counter(
        "call_records_total",
        "Call records by what became of them.",
        outcome=_of("written", "failed", "lost", "expired"),
    ),
    _counter(
        "trace_items_total",
        "Steps of calls for the file of traces, by what became of them; dropped: the disk did not keep up.",
        outcome=_of("written", "failed", "dropped"),
    ),
    _counter(
        "console_logins_total",
        "Who logged in to the console, and wrong tokens, also those that programs send.",
        outcome=_of("done", "refused"),
    ),
    _counter(
        "console_actions_total",
        "What people did in the console.",
        action=_of("end_call", "trunk_off", "trunk_on", "show_numbers"),
    ),
    _counter(
        "spans_total",
        "Spans of calls for an OpenTelemetry collector; dropped: it did not keep up.",
        outcome=_of("sent", "failed", "dropped"),
    ),
    _counter("admin_requests_total", "Requests to the admin API, by status.", status=ANSWERS),
    _counter("hep_messages_total", "Copies of SIP messages for a Homer server.", outcome=_of("sent", "failed")),
    # Calls.
    _gauge("draining", "1 after SIGTERM: no new calls, and those that are up finish."),
    _counter(
        "config_reloads_total",
        "SIGHUP: done, refused (the configuration has a fault; the old one is kept), or failed (a bug).",
        outcome=_of("done", "refused", "failed"),
    ),
    _gauge("config_last_reload_successful", "1 unless the last SIGHUP was refused, or failed."),
    _gauge("config_last_reload_success_timestamp_seconds", "When the configuration was taken over last."),
    _gauge("config_restart_needed", "Settings of the file that wait for a restart.", section=SECTIONS),
    _gauge("calls_active", "Calls that have begun and not ended.", direction=DIRECTIONS),
    _counter("call_attempts_total", "Calls begun.", direction=DIRECTIONS, trunk=TRUNKS),
    _counter(
        "policy_denied_total",
        "Calls that the configuration refused or ended, by the reason.",
        rule=REASONS,
    ),
    _counter("calls_total", "Calls ended.", direction=DIRECTIONS, trunk=TRUNKS, result=RESULTS, reason=REASONS),
    _histogram(
        "call_setup_seconds",
        "From the invite until the callee rings, until the answer, until audio can flow.",
        OPERATION_S,
        direction=DIRECTIONS,
        stage=_of("ring", "answer", "media"),
    ),
    _counter("member_rings_total", "Members of groups who were to be rung, by how that ended.", reason=REASONS),
    _histogram("call_duration_seconds", "From answer to end.", CALL_S, direction=DIRECTIONS),
    _histogram(
        "post_dial_delay_seconds", "From our INVITE until the phone is known to ring.", OPERATION_S, trunk=TRUNKS
    ),
    _histogram("call_connect_seconds", "From the answer until audio can flow.", OPERATION_S, direction=DIRECTIONS),
    _counter(
        "test_calls_total",
        "Test calls, which are counted nowhere else: asked for, or of the bridge to itself.",
        kind=_of("asked", "self"),
        outcome=_of("both_ways", "unproven", "one_way", "no_audio", "not_answered", "failed", "refused"),
    ),
    _gauge("self_test_success", "1 if the bridge's last call to itself was heard both ways.", through=SELF_TESTS),
    _gauge("self_test_duration_seconds", "How long that took until audio could flow.", through=SELF_TESTS),
    _gauge(
        "self_test_mos",
        "Its estimated mean opinion score, of the worse direction, where there is one.",
        through=SELF_TESTS,
    ),
    _gauge("self_test_last_success_timestamp_seconds", "When one was heard both ways last.", through=SELF_TESTS),
    _gauge("longest_call_seconds", "For how long the oldest of the calls that are up has been answered."),
    _counter("dtmf_total", "Keypad tones that were passed on."),
    _counter("spend_total", "What calls out have cost, in the trunks' currency.", trunk=TRUNKS),
    _counter("spend_seconds_total", "Talk of calls out.", trunk=TRUNKS),
    _counter(
        "suspensions_total",
        "Users whose calls out were suspended, by what these looked like.",
        reason=_of("countries", "sequential", "wangiri"),
    ),
    _counter("call_illegal_events_total", "Events that a call's state has no use for.", state=CALL_STATES),
    _counter(
        "http_connections_dropped_total",
        "HTTP connections closed because they were slow to ask, made room for others, or found no room.",
        server=_of("matrix_appservice", "ops"),
        reason=_of("slow", "evicted", "refused"),
    ),
    # Matrix.
    _counter("matrix_txn_total", "Transactions of the homeserver.", outcome=_of("new", "replay", "rejected")),
    _histogram("matrix_txn_seconds", "From a transaction's arrival until its events are on disk.", OPERATION_S),
    _histogram("matrix_event_lag_seconds", "Age of events when they are worked on.", OPERATION_S),
    _counter("bot_commands_total", "What users asked of the bot.", command=CLASSES),
    _counter(
        "menu_choices_total",
        "What callers chose in spoken menus; nothing: an extension or a target that is none.",
        found=_of("menu", "person", "group", "voicemail", "nothing"),
    ),
    _counter(
        "voicemail_messages_total",
        "Messages that phones have left; one that failed is tried again.",
        outcome=_of("delivered", "failed"),
    ),
    _counter(
        "texts_total",
        "Text messages; refused ones never reached the other side.",
        direction=DIRECTIONS,
        trunk=TRUNKS,
        outcome=_of("delivered", "refused", "failed"),
    ),
    _counter("matrix_dead_letters_total", "Events that could not be worked on.", reason=_of("broken", "failed")),
    _counter("matrix_call_events_ignored_total", "Call events that lead nowhere.", reason=EVENT_FAULTS),
    _counter(
        "matrix_invites_total",
        "Invitations of ghosts to rooms.",
        outcome=_of("joined", "failed", "not_a_number", "foreign_inviter", "public_room", "crowded_room"),
    ),
    _counter(
        "matrix_send_total",
        "Events sent to rooms.",
        kind=SENDS,
        outcome=_of("sent", "failed", "refused", "expired", "withdrawn"),
    ),
    _counter(
        "matrix_puppet_joins_total",
        "Invitations accepted in the name of users.",
        outcome=_of("joined", "failed"),
    ),
    _gauge("matrix_outbox_depth", "Events that wait to be sent."),
    _gauge("matrix_homeserver_up", "1 while the homeserver answers and reaches us."),
    # SIP.
    _counter("sip_requests_total", "Requests.", method=METHODS, direction=WAYS, transport=TRANSPORTS),
    _counter("sip_responses_total", "Responses.", method=METHODS, direction=WAYS, status_class=STATUS_CLASSES),
    _counter(
        "sip_retransmissions_total",
        "Messages repeated for want of an answer.",
        method=METHODS,
        direction=WAYS,
    ),
    _counter(
        "sip_parse_errors_total",
        "Messages that could not be understood.",
        kind=_of("message", "dropped", "stream", "dialog", "body", "target"),
    ),
    _counter(
        "sip_dropped_total",
        "Messages that were not taken up: from strangers, of no transaction, too many, too long, or no SIP.",
        reason=_of("acl", "unmatched", "rate", "overload", "size", "malformed"),
    ),
    _counter(
        "sip_unexpected_events_total",
        "Events that a state machine has no use for.",
        machine=_of(
            *("client_transaction", "server_transaction", "invite_usage", "registration", "referral", "referring"),
            "phone_watch",
        ),
        event=CLASSES,
    ),
    _counter(
        "sip_info_digits_total",
        "Keypad tones in INFO requests, by what became of them.",
        direction=WAYS,
        outcome=_of("sent", "refused", "dropped"),
    ),
    _counter("sip_late_commands_total", "Commands for a dialog that had just ended.", command=CLASSES),
    _counter(
        "sip_failovers_total",
        "Requests sent on to a trunk's next server.",
        trunk=TRUNKS,
        reason=_of("silent", "transport", "unavailable"),
    ),
    _counter(
        "trunk_failovers_total",
        "Calls that went on over the next trunk, by the trunk that failed and why.",
        trunk=TRUNKS,
        reason=_of("trunk_unreachable", "trunk_failure", "trunk_credentials", "no_answer"),
    ),
    _counter(
        "registrations_total", "Registrations by outcome.", trunk=TRUNKS, outcome=_of("granted", "refused", "failed")
    ),
    _counter(
        "sip_subscriptions_total",
        "Subscriptions to the calls of a PBX's phones by outcome.",
        trunk=TRUNKS,
        outcome=_of("accepted", "failed"),
    ),
    _counter(
        "calls_limited_total",
        "Calls that a limit of their trunk kept from beginning.",
        trunk=TRUNKS,
        limit=_of("max_calls", "max_calls_per_s", "max_incoming_per_s"),
    ),
    _gauge("trunk_up", "1 while a trunk is registered, answers, or is not known not to.", trunk=TRUNKS),
    _gauge("registration_expires_timestamp_seconds", "When the newest registration ends.", trunk=TRUNKS),
    _histogram("trunk_options_rtt_seconds", "How fast a trunk answers OPTIONS.", OPERATION_S, trunk=TRUNKS),
    _gauge("sip_transactions_active", "Transactions that have not ended."),
    _gauge("sip_shed_level", "What overload turns away: 1 OPTIONS, 2 also REGISTER, 3 also new calls."),
    _gauge("sip_dialogs_active", "Invite usages, from INVITE to BYE."),
    _counter(
        "sip_tls_failures_total",
        "Connections that TLS could not secure, by what was wrong: reasons are explained in the log.",
        direction=WAYS,
        reason=TLS_FAILURES,
    ),
    _counter("tls_reloads_total", "Certificates read again because they changed.", outcome=_of("done", "failed")),
    _gauge("tls_certificate_expires_timestamp_seconds", "When the first of our own certificates ends."),
    _counter("sip_connect_failures_total", "Connections that could not be made.", transport=TRANSPORTS),
    # Audio.
    _gauge("media_sessions", "Calls with an audio session."),
    _gauge("media_ports_in_use", "UDP ports of audio in use."),
    _gauge(
        "media_server_up",
        "Whether a server of media.rtpengine answers; the label is its place in that list.",
        server=MEDIA_SERVERS,
    ),
    _gauge(
        "media_server_sessions", "Sessions on a server of media.rtpengine, of whatever bridge.", server=MEDIA_SERVERS
    ),
    _counter(
        "media_server_requests_total",
        "Commands to such servers: done, refused, full (so that the next one is asked), or without an answer.",
        server=MEDIA_SERVERS,
        result=_of("ok", "refused", "full", "silent"),
    ),
    _counter(
        "webrtc_not_connected_total",
        "Answered calls without audio, by what did not come up; dtls_refused: a handshake failed, or its certificate.",
        missing=_of("ice", "dtls", "dtls_refused"),
    ),
    _counter(
        "ice_restarts_total",
        "Clients that came back over another network path, and kept their audio or did not.",
        result=_of("success", "failed"),
    ),
    _counter("media_workers_ended_total", "Processes of the portable packet path that ended with their calls."),
    _counter("media_offpath_dropped_total", "Datagrams from addresses that ICE has not validated."),
    _counter("ice_candidates_ignored_total", "Candidates that are of no use.", reason=CANDIDATE_FAULTS),
    _counter(
        "recordings_total",
        "Recordings of calls that have ended, by why.",
        end=_of("stopped", "time_limit", "size_limit", "closed", "disk", "failed", "behind"),
    ),
    _counter(
        "ice_servers_asked_total",
        "Requests for candidates to STUN and TURN servers.",
        kind=_of("stun", "turn"),
        result=_of("success", "failed"),
    ),
    _counter(
        "rtp_discarded_total",
        "Packets that were not played.",
        reason=_of("source", "malformed", "unproven", "srtp", "replay", "rate", "streams", "late"),
    ),
    _counter("rtp_packets_total", "Packets that came, or were sent.", leg=LEGS, direction=WAYS),
    _counter(
        "rtp_lost_total",
        "Packets that never came: in, to us; out, from us to the far end, by its own reports.",
        leg=LEGS,
        direction=WAYS,
    ),
    _counter(
        "audio_frames_total",
        "20 ms each of audio that was transcoded: as they came, or made up because they did not.",
        heard_by=LEGS,
        kind=_of("played", "concealed"),
    ),
    _histogram("rtp_jitter_seconds", "Interarrival jitter, every 5 s of a call.", LAG_S, leg=LEGS),
    _histogram("rtp_round_trip_seconds", "To the far end and back, every 5 s of a call.", OPERATION_S, leg=LEGS),
    _histogram(
        "playout_delay_seconds",
        "How long transcoded audio is held back so that late packets are in time, every 5 s of a call.",
        LAG_S,
        heard_by=LEGS,
    ),
    _histogram(
        "concealed_ratio", "Share of a call's transcoded audio that was made up, at its end.", SHARES, heard_by=LEGS
    ),
    _histogram(
        "media_mos", "Mean opinion score of a call, estimated by the E-model, at its end.", OPINIONS, heard_by=LEGS
    ),
    _counter(
        "one_way_calls_total",
        "Calls in which one side was heard and the other was not, by whom nothing came from.",
        silent=LEGS,
    ),
    _counter("silent_calls_total", "Calls in which nothing came from either side."),
)
