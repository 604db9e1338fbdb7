"""What Prometheus has not seen happen has not happened just now: nobody is paged for last month's calls.

Values are one a minute, in promtool's notation; `_` is no scrape, `stale` one that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.ops.test_alerts import RULES
from tests.peers.prometheus import promtool

FIRED = 'count by (alertname, instance) (count_over_time(ALERTS{alertstate="firing"}[15h]))'
"""At any time."""
FAILED = 'direction="inbound",trunk="carrier",result="server",reason="media_exhausted"'
ANSWERED = 'direction="inbound",trunk="carrier",result="success",reason="completed"'
FAILURES = frozenset({"NoRoomForAudio", "CallsFail"})
_LONG_AGO_S = -30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What Prometheus has of one or two bridges, and which alerts that sets off, each of which bridge."""

    series: Mapping[str, str]
    fired: Mapping[str, frozenset[str]] = field(default_factory=dict)


def bridge(name: str, *, failed: str, answered: str, scraped: str, up: str, began: str) -> dict[str, str]:
    """A bridge with calls that found no audio port, and calls that went well."""
    labels = f'instance="{name}",job="trunkline"'
    return {
        f"trunkline_calls_total{{{labels},{FAILED}}}": failed,
        f"trunkline_calls_total{{{labels},{ANSWERED}}}": answered,
        f'trunkline_build_info{{{labels},version="1"}}': scraped,
        f"process_start_time_seconds{{{labels}}}": began,
        f"up{{{labels}}}": up,
    }


def old(name: str, times: str) -> dict[str, str]:
    """Nothing happens to it, and it is scraped at these times."""
    values = {key: times.format(value) for key, value in (("failed", 7), ("answered", 400), ("up", 1), ("scraped", 1))}
    return bridge(name, **values, began=times.format(_LONG_AGO_S))


def restarted(*, away: str) -> dict[str, str]:
    """It did not answer for a while, and a minute after it began anew a call failed for the first time in it."""
    return bridge(
        "a",
        failed=f"7x20 stale {away} _ 1x500",
        answered=f"400x20 stale {away} 0 1x500",
        scraped=f"1x20 stale {away} 1x501",
        up=f"1x20 0 {away.replace('_', '0')} 1x501",
        began=f"{_LONG_AGO_S}x20 stale {away} {28 * 60}x501",
    )


def failing(values: str) -> dict[str, str]:
    """Of the first bridge."""
    return {f'trunkline_calls_total{{instance="a",job="trunkline",{FAILED}}}': values}


WATCHES = {
    "Prometheus was away": Watch(series=old("a", "{0}x20 _x8 {0}x500")),
    "Prometheus is new, and the bridge is not": Watch(series=old("a", "{0}x500")),
    "a bridge is new to Prometheus, and another is not": Watch(
        series=old("a", "_x30 {0}x500") | old("b", "{0}x530"),
    ),
    "the port was shut, and the bridge went on": Watch(
        series=old("a", "{0}x20 stale _x7 {0}x500") | {'up{instance="a",job="trunkline"}': "1x20 0x7 1x500"},
        fired={"a": frozenset({"TrunklineDown"})},
    ),
    "the first failure of an old bridge": Watch(
        series=old("a", "{0}x900") | failing("_x400 1x500") | old("b", "_x390 {0}x510"),
        fired={"a": FAILURES},
    ),
    "the first failure of a bridge that is new like Prometheus": Watch(
        series=bridge("a", failed="_ 1x500", answered="0 1x500", scraped="1x501", up="1x501", began="-9x501"),
        fired={"a": FAILURES},
    ),
    "the first failure after a restart": Watch(series=restarted(away="_x6"), fired={"a": FAILURES | {"TrunklineDown"}}),
}


@pytest.mark.parametrize("what", WATCHES)
def test_a_call_is_alerted_when_it_fails_and_not_when_it_is_first_seen(what: str, tmp_path: Path) -> None:
    watch = WATCHES[what]
    fired = [f'{{alertname="{name}",instance="{where}"}}' for where, names in watch.fired.items() for name in names]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in watch.series.items()],
        "promql_expr_test": [
            {"expr": FIRED, "eval_time": "15h", "exp_samples": [{"labels": each, "value": 1} for each in sorted(fired)]}
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", file)
