"""Metrics: what is declared can be counted, and everything that the code counts is declared."""

import ast
import enum
import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.calls.state import Direction, State
from bridge.core.ids import TrunkName
from bridge.media.candidates import IgnoredCandidate
from bridge.ops.declarations import METRICS
from bridge.ops.declarations.label_values import REASONS
from bridge.ops.declarations.metric import Kind, Metric, Open
from bridge.ops.metrics import PrometheusTelemetry, UndeclaredMetricError
from bridge.sip.settings import Transport

BRIDGE = Path(__file__).parent.parent.parent / "bridge"
OPERATING = BRIDGE.parent / "deploy/operating.md"
RECEIVERS = ("telemetry", "context")
ACTIONS = {"Count": "count", "Observe": "observe", "Gauge": "gauge"}
"""What the SIP core, which does no I/O, returns instead of calling the port."""
FORWARDERS = ("context.py", "driver.py", "metrics.py", "tally.py")
"""Where a name is passed on, not chosen."""
KINDS = {"count": Kind.COUNTER, "observe": Kind.HISTOGRAM, "gauge": Kind.GAUGE}
DECLARED: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def telemetry(*, strict: bool = True) -> PrometheusTelemetry:
    return PrometheusTelemetry(trunks=[TrunkName("carrier")], version="1.2.3", strict=strict)


def sample(of: PrometheusTelemetry, name: str, **labels: str) -> float | None:
    return of.registry.get_sample_value(f"trunkline_{name}", labels)


def test_counters_levels_and_distributions_are_exposed() -> None:
    metrics = telemetry()
    metrics.count("call_attempts_total", direction="outbound", trunk="carrier")
    metrics.count("call_attempts_total", 2, direction="outbound", trunk="carrier")
    metrics.gauge("calls_active", 3, direction="inbound")
    metrics.observe("event_loop_lag_seconds", 0.003, loop="signalling")
    assert sample(metrics, "call_attempts_total", direction="outbound", trunk="carrier") == 3
    assert sample(metrics, "calls_active", direction="inbound") == 3
    assert sample(metrics, "event_loop_lag_seconds_bucket", loop="signalling", le="0.005") == 1
    assert b"trunkline_calls_active" in metrics.exposition()


def test_there_is_one_series_for_each_counter() -> None:
    assert b"_created" not in telemetry().exposition()


def test_errors_are_zero_before_the_first_one() -> None:
    assert sample(telemetry(), "internal_errors_total", component="sip") == 0


def test_the_version_and_the_process_are_described() -> None:
    text = telemetry().exposition().decode()
    assert 'trunkline_build_info{python="3.' in text
    assert 'version="1.2.3"' in text
    assert "process_open_fds" in text
    assert "process_resident_memory_bytes" in text


def test_two_collections_do_not_share_anything() -> None:
    one, other = telemetry(), telemetry()
    one.count("internal_errors_total", component="sip")
    assert sample(other, "internal_errors_total", component="sip") == 0


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("calls_lost_total", {}, "is not declared"),
        ("internal_errors_total", {}, "takes the labels component"),
        ("internal_errors_total", {"component": "sip", "trunk": "carrier"}, "takes the labels component"),
        ("internal_errors_total", {"component": "+15550100"}, "does not know component="),
        ("call_attempts_total", {"direction": "outbound", "trunk": "stranger"}, "does not know trunk='stranger'"),
        ("calls_active", {"direction": "outbound"}, "is no counter"),
    ],
)
def test_what_is_not_declared_raises_under_test(name: str, labels: dict[str, str], words: str) -> None:
    with pytest.raises(UndeclaredMetricError, match=words):
        telemetry().count(name, 1, **labels)


def test_what_is_not_declared_is_counted_and_logged_once_in_production() -> None:
    metrics = telemetry(strict=False)
    with capture_logs() as lines:
        metrics.count("calls_lost_total")
        metrics.observe("calls_lost_total", 1)
    assert sample(metrics, "internal_errors_total", component="telemetry") == 2
    assert [line["event"] for line in lines] == ["metric_refused"]


# --- the code against the declarations ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place where the code counts something."""

    where: str
    kind: Kind
    name: str
    labels: Mapping[str, list[str]] | None
    """The values that are literal; labels that are put together elsewhere are `None` as a whole."""


@functools.cache
def calls() -> tuple[tuple[Path, ast.Call], ...]:
    """Every call that the code makes."""
    trees = [(file, ast.parse(file.read_text())) for file in sorted(BRIDGE.rglob("*.py"))]
    return tuple((file, node) for file, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))


def uses() -> Iterator[Use]:
    """Calls of the telemetry port, and the SIP core's actions that end there."""
    for file, node in calls():
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in KINDS and receiver(node.func) in RECEIVERS:
            name = literal(node.args[0]) if node.args else None
            labels = {word.arg: literals(word.value) for word in node.keywords if word.arg is not None}
            spread = any(word.arg is None for word in node.keywords)
            yield from found(file, node, method, name, None if spread else labels)
        if ast.unparse(node.func) in ACTIONS:
            name = next((literal(word.value) for word in node.keywords if word.arg == "name"), None)
            yield from found(file, node, ACTIONS[ast.unparse(node.func)], name, None)


def found(
    file: Path, node: ast.Call, method: str, name: str | None, labels: Mapping[str, list[str]] | None
) -> Iterator[Use]:
    if name is not None or file.name not in FORWARDERS:
        where = f"{file.relative_to(BRIDGE.parent)}:{node.lineno}"
        yield Use(where=where, kind=KINDS[method], name=name or "(not a literal)", labels=labels)


def receiver(called: ast.expr) -> str:
    """`telemetry` of `self._telemetry.count`."""
    return ast.unparse(called.value).rpartition(".")[2].lstrip("_") if isinstance(called, ast.Attribute) else ""


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def literals(node: ast.expr) -> list[str]:
    """The values that an expression can have, as far as they stand in the code: both of `"a" if x else "b"`."""
    if isinstance(node, ast.IfExp):
        return [*literals(node.body), *literals(node.orelse)]
    value = literal(node)
    return [] if value is None else [value]


def objection(use: Use) -> str | None:
    metric = DECLARED.get(use.name)
    if metric is None:
        return f"{use.where}: {use.name} is not declared"
    if metric.kind is not use.kind:
        return f"{use.where}: {use.name} is a {metric.kind.name.lower()}"
    if use.labels is None:
        return None
    if metric.labels.keys() != use.labels.keys():
        return f"{use.where}: {use.name} takes {list(metric.labels)}, not {list(use.labels)}"
    strange = [v for label, values in use.labels.items() for v in values if not allowed(metric, label, v)]
    return f"{use.where}: {use.name} does not know {strange}" if strange else None


def allowed(metric: Metric, label: str, value: str) -> bool:
    values = metric.labels[label]
    return isinstance(values, Open) or value in values


def test_everything_that_is_counted_is_declared() -> None:
    assert [words for use in uses() if (words := objection(use))] == []


def test_everything_that_is_declared_is_counted_somewhere() -> None:
    """A metric that nobody sets reads as "all is well" for ever."""
    assert sorted(DECLARED.keys() - {use.name for use in uses()}) == []


def test_every_reason_of_a_verdict_is_a_label_value() -> None:
    reasons = {
        literal(word.value)
        for _, node in calls()
        if ast.unparse(node.func).rpartition(".")[2] == "Verdict"
        for word in node.keywords
        if word.arg == "reason"
    }
    assert reasons - {None} == REASONS


def test_every_reason_to_ignore_a_call_event_is_a_label_value() -> None:
    """Reasons are raised in one layer and counted in another."""
    reasons = {
        literal(node.args[-1])
        for _, node in calls()
        if node.args and ast.unparse(node.func) in ("InvalidCallEvent", "self._ignored")
    }
    assert reasons - {None} == values_of("matrix_call_events_ignored_total", "reason")


def values_of(name: str, label: str) -> frozenset[str]:
    values = DECLARED[name].labels[label]
    assert isinstance(values, frozenset)
    return values


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("call_illegal_events_total", "state", State),
        ("calls_active", "direction", Direction),
        ("ice_candidates_ignored_total", "reason", IgnoredCandidate),
        ("sip_requests_total", "transport", Transport),
    ],
)
def test_label_values_that_are_enumerations_elsewhere_agree(name: str, label: str, values: type[enum.StrEnum]) -> None:
    assert values_of(name, label) == {member.value for member in values}


def most_series(trunks: int) -> int:
    """After every level was set and every distribution observed, with all the label values that there are."""
    names = [f"trunk{number}" for number in range(trunks)]
    metrics = PrometheusTelemetry(trunks=map(TrunkName, names), version="1", strict=True)
    of_trunks = {Open.TRUNKS: names, Open.TRUNKS_OR_NONE: [*names, "none"]}
    for metric in METRICS:
        values = [of_trunks.get(each, ()) if isinstance(each, Open) else each for each in metric.labels.values()]
        for combination in itertools.product(*values):
            labels = dict(zip(metric.labels, combination, strict=True))
            if metric.kind is Kind.GAUGE:
                metrics.gauge(metric.name, 1, **labels)
            elif metric.kind is Kind.HISTOGRAM:
                metrics.observe(metric.name, 1, **labels)
    return sum(not line.startswith("#") for line in metrics.exposition().decode().splitlines())


def test_a_bridge_with_five_trunks_has_fewer_than_a_thousand_series_even_when_all_of_it_is_used() -> None:
    assert most_series(5) < 1_000


def test_operators_are_told_how_many_series_a_trunk_costs() -> None:
    told = re.search(r"(\d+) time series and (\d+) for each trunk", OPERATING.read_text())
    assert told is not None
    each = most_series(2) - most_series(1)
    assert int(told[2]) == each
    assert int(told[1]) == pytest.approx(most_series(1) - each, abs=20)


def test_what_cannot_be_without_a_trunk_is_not_shown_for_none() -> None:
    shown = re.findall(r'^trunkline_(\w+)\{.*trunk="none"', telemetry().exposition().decode(), re.MULTILINE)
    assert set(shown) == {"call_attempts_total", "texts_total"}


def test_names_follow_the_rules_of_prometheus() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        if metric.kind is Kind.HISTOGRAM:
            assert metric.name.endswith(("_seconds", "_bytes", "_ratio", "_mos")), metric.name


def test_operators_find_the_metrics_that_telephony_has_everywhere() -> None:
    """Renaming one breaks dashboards: it takes a line in the CHANGELOG."""
    wanted = {
        "calls_active": ["direction"],
        "call_attempts_total": ["direction", "trunk"],
        "calls_total": ["direction", "trunk", "result", "reason"],
        "call_setup_seconds": ["direction", "stage"],
        "call_duration_seconds": ["direction"],
        "post_dial_delay_seconds": ["trunk"],
        "sip_requests_total": ["method", "direction", "transport"],
        "sip_responses_total": ["method", "direction", "status_class"],
        "sip_retransmissions_total": ["method", "direction"],
        "sip_transactions_active": [],
        "sip_parse_errors_total": ["kind"],
        "sip_dropped_total": ["reason"],
        "trunk_up": ["trunk"],
        "trunk_options_rtt_seconds": ["trunk"],
        "registration_expires_timestamp_seconds": ["trunk"],
        "matrix_txn_seconds": [],
        "matrix_txn_total": ["outcome"],
        "matrix_event_lag_seconds": [],
        "matrix_send_total": ["kind", "outcome"],
        "matrix_outbox_depth": [],
        "rtp_packets_total": ["leg", "direction"],
        "rtp_lost_total": ["leg", "direction"],
        "rtp_discarded_total": ["reason"],
        "rtp_jitter_seconds": ["leg"],
        "playout_delay_seconds": ["heard_by"],
        "concealed_ratio": ["heard_by"],
        "one_way_calls_total": ["silent"],
        "media_offpath_dropped_total": [],
        "dtmf_total": [],
        "spend_total": ["trunk"],
        "policy_denied_total": ["rule"],
        "event_loop_lag_seconds": ["loop"],
        "tasks": [],
        "db_seconds": ["operation"],
        "internal_errors_total": ["component"],
        "draining": [],
        "config_last_reload_successful": [],
    }
    assert {name: list(DECLARED[name].labels) for name in wanted if name in DECLARED} == wanted


def test_a_trunk_that_comes_is_counted_and_one_that_goes_leaves_nothing() -> None:
    telemetry = PrometheusTelemetry(trunks=(TrunkName("old"),), version="1", strict=True)
    telemetry.gauge("trunk_up", 1, trunk="old")
    telemetry.know_trunks([TrunkName("new")])
    telemetry.gauge("trunk_up", 1, trunk="new")
    telemetry.forget_trunk(TrunkName("old"))
    assert b'trunk="old"' not in telemetry.exposition()
    assert b'trunkline_trunk_up{trunk="new"} 1.0' in telemetry.exposition()
    telemetry.gauge("trunk_up", 0, trunk="old")
    assert b'trunkline_trunk_up{trunk="old"} 0.0' in telemetry.exposition(), "what its last calls count is no fault"


def test_a_trunk_that_is_gone_does_not_come_back_when_another_one_comes() -> None:
    telemetry = PrometheusTelemetry(trunks=(TrunkName("old"),), version="1", strict=True)
    telemetry.forget_trunk(TrunkName("old"))
    telemetry.know_trunks([TrunkName("new")])
    assert b'trunk="old"' not in telemetry.exposition()
    telemetry.know_trunks([TrunkName("old")])
    assert sample(telemetry, "call_attempts_total", direction="inbound", trunk="old") == 0


def test_a_level_of_a_trunk_is_shown_no_more_and_the_others_stay() -> None:
    telemetry = PrometheusTelemetry(trunks=(TrunkName("old"),), version="1", strict=True)
    telemetry.gauge("trunk_up", 1, trunk="old")
    telemetry.gauge("registration_expires_timestamp_seconds", 1, trunk="old")
    telemetry.forget_level("registration_expires_timestamp_seconds", TrunkName("old"))
    assert sample(telemetry, "registration_expires_timestamp_seconds", trunk="old") is None
    assert sample(telemetry, "trunk_up", trunk="old") == 1
    telemetry.gauge("registration_expires_timestamp_seconds", 2, trunk="old")
    assert sample(telemetry, "registration_expires_timestamp_seconds", trunk="old") == 2
