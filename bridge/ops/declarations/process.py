"""Metrics of the process: its event loops, its disk, its settings, its HTTP servers, and what it writes of calls."""

from bridge.ops.declarations.label_values import ANSWERS, CHECKS, COMPONENTS, SECTIONS
from bridge.ops.declarations.metric import LAG_S, STORE_S, counter, gauge, histogram, one_of

PROCESS = (
    counter("internal_errors_total", "Faults of Trunkline itself: each one is a bug.", component=COMPONENTS),
    histogram("event_loop_lag_seconds", "How late an event loop is.", LAG_S, loop=one_of("signalling", "media")),
    gauge("tasks", "asyncio tasks of the signalling loop."),
    gauge("check_passes", "1 while a check of /readyz passes.", check=CHECKS),
    histogram("db_seconds", "How long the database takes, queue included.", STORE_S, operation=one_of("read", "write")),
    gauge("store_disk_free_ratio", "Free share of the disk that has the database."),
    counter("log_lines_dropped_total", "Log lines lost because their reader did not keep up or went away."),
    counter(
        "call_records_total",
        "Call records by what became of them.",
        outcome=one_of("written", "failed", "lost", "expired"),
    ),
    counter(
        "trace_items_total",
        "Steps of calls for the file of traces, by what became of them; dropped: the disk did not keep up.",
        outcome=one_of("written", "failed", "dropped"),
    ),
    counter(
        "wrong_tokens_total",
        "Requests with a wrong token, to the console, to the admin API, or in the place of the homeserver's.",
        at=one_of("console", "admin", "appservice"),
    ),
    counter("console_logins_total", "Logins with the token of the console."),
    counter(
        "console_actions_total",
        "What people did in the console.",
        action=one_of("end_call", "trunk_off", "trunk_on", "show_numbers"),
    ),
    counter(
        "spans_total",
        "Spans of calls for an OpenTelemetry collector; dropped: it did not keep up.",
        outcome=one_of("sent", "failed", "dropped"),
    ),
    counter("admin_requests_total", "Requests to the admin API, by status.", status=ANSWERS),
    counter("hep_messages_total", "Copies of SIP messages for a Homer server.", outcome=one_of("sent", "failed")),
    gauge("draining", "1 after SIGTERM: no new calls, and those that are up finish."),
    counter(
        "config_reloads_total",
        "SIGHUP: done, refused (the configuration has a fault; the old one is kept), or failed (a bug).",
        outcome=one_of("done", "refused", "failed"),
    ),
    gauge("config_last_reload_successful", "1 unless the last SIGHUP was refused, or failed."),
    gauge("config_last_reload_success_timestamp_seconds", "When the configuration was taken over last."),
    gauge("config_restart_needed", "Settings of the file that wait for a restart.", section=SECTIONS),
    counter(
        "http_connections_dropped_total",
        "HTTP connections closed because they were slow to ask, made room for others, or found no room.",
        server=one_of("matrix_appservice", "ops"),
        reason=one_of("slow", "evicted", "refused"),
    ),
)
