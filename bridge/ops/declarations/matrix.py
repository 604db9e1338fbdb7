"""Metrics of the Matrix side: transactions, events in and out, rooms, the bot, text messages."""

from bridge.ops.declarations.label_values import DIRECTIONS, EVENT_FAULTS, SENDS
from bridge.ops.declarations.metric import CLASSES, OPERATION_S, TRUNKS_OR_NONE, counter, gauge, histogram, one_of

MATRIX = (
    counter("matrix_txn_total", "Transactions of the homeserver.", outcome=one_of("new", "replay", "rejected")),
    histogram("matrix_txn_seconds", "From a transaction's arrival until its events are on disk.", OPERATION_S),
    histogram("matrix_event_lag_seconds", "Age of events when they are worked on.", OPERATION_S),
    counter("bot_commands_total", "What users asked of the bot.", command=CLASSES),
    counter(
        "texts_total",
        "Text messages; refused ones never reached the other side.",
        direction=DIRECTIONS,
        trunk=TRUNKS_OR_NONE,
        outcome=one_of("delivered", "refused", "failed"),
    ),
    counter("matrix_dead_letters_total", "Events that could not be worked on.", reason=one_of("broken", "failed")),
    counter("matrix_call_events_ignored_total", "Call events that lead nowhere.", reason=EVENT_FAULTS),
    counter(
        "matrix_invites_total",
        "Invitations of ghosts to rooms.",
        outcome=one_of("joined", "failed", "not_a_number", "foreign_inviter", "public_room", "crowded_room"),
    ),
    counter(
        "matrix_send_total",
        "Events sent to rooms.",
        kind=SENDS,
        outcome=one_of("sent", "failed", "refused", "expired", "withdrawn"),
    ),
    counter(
        "matrix_puppet_joins_total",
        "Invitations accepted in the name of users.",
        outcome=one_of("joined", "failed"),
    ),
    gauge("matrix_outbox_depth", "Events that wait to be sent."),
    gauge("matrix_homeserver_up", "1 while the homeserver answers and reaches us."),
)
