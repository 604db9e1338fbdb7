"""Metrics of SIP: messages, transactions, trunks, registrations, connections and their certificates."""

from bridge.ops.declarations.label_values import METHODS, STATUS_CLASSES, TLS_FAILURES, TRANSPORTS, WAYS
from bridge.ops.declarations.metric import CLASSES, NETWORK_S, TRUNKS, counter, gauge, histogram, one_of

SIP = (
    counter("sip_requests_total", "Requests.", method=METHODS, direction=WAYS, transport=TRANSPORTS),
    counter("sip_responses_total", "Responses.", method=METHODS, direction=WAYS, status_class=STATUS_CLASSES),
    counter(
        "sip_retransmissions_total",
        "Messages repeated for want of an answer.",
        method=METHODS,
        direction=WAYS,
    ),
    counter(
        "sip_parse_errors_total",
        "Messages that could not be understood.",
        kind=one_of("message", "dropped", "stream", "dialog", "body", "target"),
    ),
    counter(
        "sip_dropped_total",
        "Messages that were not taken up: from strangers, of no transaction, too many, too long, or no SIP.",
        reason=one_of("acl", "unmatched", "rate", "overload", "size", "malformed"),
    ),
    counter(
        "sip_unexpected_events_total",
        "Events that a state machine has no use for.",
        machine=one_of(
            *("client_transaction", "server_transaction", "invite_usage", "registration", "referral", "referring"),
            "phone_watch",
        ),
        event=CLASSES,
    ),
    counter(
        "sip_info_digits_total",
        "Keypad tones in INFO requests, by what became of them.",
        direction=WAYS,
        outcome=one_of("sent", "refused", "dropped"),
    ),
    counter("sip_late_commands_total", "Commands for a dialog that had just ended.", command=CLASSES),
    counter(
        "sip_failovers_total",
        "Requests sent on to a trunk's next server.",
        trunk=TRUNKS,
        reason=one_of("silent", "transport", "unavailable"),
    ),
    counter(
        "trunk_failovers_total",
        "Calls that went on over the next trunk, by the trunk that failed and why.",
        trunk=TRUNKS,
        reason=one_of("trunk_unreachable", "trunk_failure", "trunk_credentials", "no_answer"),
    ),
    counter(
        "registrations_total", "Registrations by outcome.", trunk=TRUNKS, outcome=one_of("granted", "refused", "failed")
    ),
    counter(
        "sip_subscriptions_total",
        "Subscriptions to the calls of a PBX's phones by outcome.",
        trunk=TRUNKS,
        outcome=one_of("accepted", "failed"),
    ),
    counter(
        "calls_limited_total",
        "Calls that a limit of their trunk kept from beginning.",
        trunk=TRUNKS,
        limit=one_of("max_calls", "max_calls_per_s", "max_incoming_per_s"),
    ),
    gauge("trunk_up", "1 while a trunk is registered, answers, or is not known not to.", trunk=TRUNKS),
    gauge("registration_expires_timestamp_seconds", "When the newest registration ends.", trunk=TRUNKS),
    histogram("trunk_options_rtt_seconds", "How fast a trunk answers OPTIONS.", NETWORK_S, trunk=TRUNKS),
    gauge("sip_transactions_active", "Transactions that have not ended."),
    gauge("sip_shed_level", "What overload turns away: 1 OPTIONS, 2 also REGISTER, 3 also new calls."),
    gauge("sip_dialogs_active", "Invite usages, from INVITE to BYE."),
    counter(
        "sip_tls_failures_total",
        "Connections that TLS could not secure, by what was wrong: reasons are explained in the log.",
        direction=WAYS,
        reason=TLS_FAILURES,
    ),
    counter("tls_reloads_total", "Certificates read again because they changed.", outcome=one_of("done", "failed")),
    gauge("tls_certificate_expires_timestamp_seconds", "When the first of our own certificates ends."),
    counter("sip_connect_failures_total", "Connections that could not be made.", transport=TRANSPORTS),
)
