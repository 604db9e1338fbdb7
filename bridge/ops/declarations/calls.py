"""Metrics of calls: how many, how they ended, how fast, what they cost."""

from bridge.ops.declarations.label_values import CALL_STATES, DIRECTIONS, REASONS, RESULTS, SELF_TESTS
from bridge.ops.declarations.metric import CALL_S, SETUP_S, TRUNKS, TRUNKS_OR_NONE, counter, gauge, histogram, one_of

CALLS = (
    gauge("calls_active", "Calls that have begun and not ended.", direction=DIRECTIONS),
    counter("call_attempts_total", "Calls begun.", direction=DIRECTIONS, trunk=TRUNKS_OR_NONE),
    counter(
        "policy_denied_total",
        "Calls that the configuration refused or ended, by the reason.",
        rule=REASONS,
    ),
    counter("calls_total", "Calls ended.", direction=DIRECTIONS, trunk=TRUNKS_OR_NONE, result=RESULTS, reason=REASONS),
    histogram(
        "call_setup_seconds",
        "From the invite until the callee rings, until the answer, until audio can flow.",
        SETUP_S,
        direction=DIRECTIONS,
        stage=one_of("ring", "answer", "media"),
    ),
    counter(
        "forwards_total",
        "Calls to users who have them forwarded: made by the trunk itself, or why they rang instead.",
        trunk=TRUNKS,
        outcome=one_of("forwarded", "circle", "not_permitted", "caller_limit", "user_limit", "unpaid"),
    ),
    counter("member_rings_total", "Members of groups who were to be rung, by how that ended.", reason=REASONS),
    histogram("call_duration_seconds", "From answer to end.", CALL_S, direction=DIRECTIONS),
    histogram("post_dial_delay_seconds", "From our INVITE until the phone is known to ring.", SETUP_S, trunk=TRUNKS),
    histogram("call_connect_seconds", "From the answer until audio can flow.", SETUP_S, direction=DIRECTIONS),
    counter(
        "test_calls_total",
        "Test calls, which are counted nowhere else: asked for, or of the bridge to itself.",
        kind=one_of("asked", "self"),
        outcome=one_of("both_ways", "unproven", "one_way", "no_audio", "not_answered", "failed", "refused"),
    ),
    gauge("self_test_success", "1 if the bridge's last call to itself was heard both ways.", through=SELF_TESTS),
    gauge("self_test_duration_seconds", "How long that took until audio could flow.", through=SELF_TESTS),
    gauge(
        "self_test_mos",
        "Its estimated mean opinion score, of the worse direction, where there is one.",
        through=SELF_TESTS,
    ),
    gauge("self_test_last_success_timestamp_seconds", "When one was heard both ways last.", through=SELF_TESTS),
    gauge("longest_call_seconds", "For how long the oldest of the calls that are up has been answered."),
    counter("dtmf_total", "Keypad tones that were passed on."),
    counter("spend_total", "What calls out have cost, in the trunks' currency.", trunk=TRUNKS),
    counter("spend_seconds_total", "Talk of calls out.", trunk=TRUNKS),
    counter(
        "suspensions_total",
        "Users whose calls out were suspended, by what these looked like.",
        reason=one_of("countries", "sequential", "wangiri"),
    ),
    counter("call_illegal_events_total", "Events that a call's state has no use for.", state=CALL_STATES),
    counter(
        "menu_choices_total",
        "What callers chose in spoken menus; nothing: an extension or a target that is none.",
        found=one_of("menu", "person", "group", "voicemail", "nothing"),
    ),
    counter(
        "voicemail_messages_total",
        "Messages that phones have left; one that failed is tried again.",
        outcome=one_of("delivered", "failed"),
    ),
)
