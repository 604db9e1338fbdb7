"""The alerts: promtool accepts them, each fires for its reason and not beside it, each has words for the operator."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.ops.declarations import METRICS
from tests.ops.alert_cases import CASES, WATCHED, Case
from tests.peers.prometheus import promtool

RULES = Path("deploy/prometheus/alerts.yml").absolute()
RUNBOOKS = RULES.parent / "README.md"
EXAMPLE = Path("config/trunkline.example.yaml")
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def alerts() -> Iterator[Mapping[str, Any]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)


def unit_test(series: Mapping[str, str], case: Case, firing: frozenset[str]) -> Mapping[str, Any]:
    """These series, and which alerts they have set off by then: no more and no less."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)]
    return {
        "interval": case.every,
        "input_series": [{"series": name, "values": values} for name, values in {**WATCHED, **series}.items()],
        "promql_expr_test": [{"expr": FIRING, "eval_time": case.after, "exp_samples": samples}],
    }


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", RULES)


def test_every_alert_has_a_case() -> None:
    assert [alert["alert"] for alert in alerts()] == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_for_its_reason_and_not_otherwise(name: str, tmp_path: Path) -> None:
    case: Case = CASES[name]
    tests = [unit_test(case.fires, case, case.also | {name}), unit_test(case.quiet, case, frozenset())]
    document = {"rule_files": [str(RULES)], "evaluation_interval": case.every, "tests": tests}
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document))
    promtool("test", "rules", file)


def test_every_alert_says_what_to_do() -> None:
    for alert in alerts():
        assert set(alert["annotations"]) == {"summary", "runbook"}, alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]


def test_what_an_alert_tells_to_look_at_exists() -> None:
    names = {metric.name for metric in METRICS}
    example = EXAMPLE.read_text()
    sections = "|".join(re.findall(r"^([a-z]+):", example, re.MULTILINE))
    for alert in alerts():
        words = alert["annotations"]["runbook"]
        assert set(re.findall(r"\b(?:[a-z]+_)+total\b", words)) <= names, alert["alert"]
        for setting in re.findall(rf"\b(?:{sections})\.(?:\*\.)?([a-z_]+)", words):
            assert re.search(rf"^\s*#?(?:- )?{setting}:", example, re.MULTILINE), setting


def test_the_runbooks_are_those_of_the_alerts() -> None:
    assert re.findall(r"^\| `(\w+)` ", RUNBOOKS.read_text(), re.MULTILINE) == [alert["alert"] for alert in alerts()]
