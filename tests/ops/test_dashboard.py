"""The dashboard and the alerts ask for what there is: each metric, label and label value that they name is declared."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.ops.declarations import METRICS
from bridge.ops.declarations.metric import Kind, Metric, Open
from tests.peers.prometheus import promtool

DEPLOY = Path("deploy").absolute()
RULES = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
DASHBOARD = json.loads((DEPLOY / "grafana/trunkline.json").read_text())
DECLARED: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
OF_THE_SCRAPE = {"instance", "job"}
SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count"), Kind.COUNTER: ("",), Kind.GAUGE: ("",)}
SELECTOR = re.compile(r"\btrunkline_(\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def panels() -> Iterator[Mapping[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def expressions() -> Iterator[tuple[str, str]]:
    """Every query, and what it is for."""
    for group in RULES:
        yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in group["rules"])
    for panel in panels():
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


def metric_of(series: str) -> Metric | None:
    """`build_info` is no metric of the code's: it is there from the start."""
    for name, metric in DECLARED.items():
        if series in {name + suffix for suffix in SUFFIXES[metric.kind]}:
            return metric
    return None


def objections(expression: str) -> Iterator[str]:
    labels = set(OF_THE_SCRAPE)
    for series, matchers in SELECTOR.findall(expression):
        metric = metric_of(series)
        if metric is None:
            if series != "build_info":
                yield f"{series} is not declared"
            continue
        labels |= {*metric.labels, "le"}
        for label, operator, text in MATCHER.findall(matchers):
            yield from strange_values(metric, label, text.split("|") if operator == "=~" else [text])
    for names in GROUPING.findall(expression):
        if "trunkline:" not in expression:
            yield from (f"no metric has {name}" for name in names.split(", ") if name and name not in labels)


def strange_values(metric: Metric, label: str, values: list[str]) -> Iterator[str]:
    """Values that the label never has; a variable of the dashboard may be any."""
    allowed = frozenset() if label in OF_THE_SCRAPE else metric.labels.get(label)
    if allowed is None:
        yield f"{metric.name} has no {label}"
    elif not isinstance(allowed, Open):
        yield from (f"{metric.name}: no {label}={value}" for value in values if value not in {*allowed, f"${label}"})


@pytest.mark.parametrize(("what", "expression"), list(expressions()))
def test_what_is_asked_for_is_declared(what: str, expression: str) -> None:
    assert list(objections(expression)) == [], what


def test_the_recorded_sums_are_those_that_alerts_use() -> None:
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    used = {name for _, expression in expressions() for name in re.findall(r"\btrunkline:[\w:]+", expression)}
    assert used == recorded


def test_legends_name_labels_of_their_queries() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                grouped = {name for names in GROUPING.findall(target["expr"]) for name in names.split(", ")}
                assert label in grouped or " by (" not in target["expr"], panel["title"]


def test_the_dashboard_has_the_rows_and_variables_that_operators_look_for() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Overview", "SIP", "Matrix", "Media", "Money and abuse", "Process"]
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "trunk", "direction"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": "query", "expr": target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")}
        for panel in panels()
        for target in panel["targets"]
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", file)


def test_without_a_certificate_the_dashboard_does_not_say_that_one_ended_in_1970(tmp_path: Path) -> None:
    name = "trunkline_tls_certificate_expires_timestamp_seconds"
    (query,) = [target["expr"] for panel in panels() for target in panel["targets"] if name in target["expr"]]
    rules = tmp_path / "queries.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [{"record": "query", "expr": query}]}]}))
    series = [
        {"series": f'{name}{{instance="{of}"}}', "values": f"{at}x5"} for of, at in (("with", 960), ("without", 0))
    ]
    asked = {"expr": "query", "eval_time": "1m", "exp_samples": [{"labels": 'query{instance="with"}', "value": 900}]}
    file = tmp_path / "test.yml"
    test = {"input_series": series, "promql_expr_test": [asked]}
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", file)
