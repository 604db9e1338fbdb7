"""What a bridge told while something happened to it, as a Prometheus sees hours of it: seconds of a test, stretched.

Names, labels and movements are those of the real `/metrics`; only time is made up. Within a passage counters rise
evenly from what they were at the last scrape to what they are now; levels have their new value from its beginning.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.peers.prometheus import promtool

INSTANCE: Mapping[str, str] = {"instance": "bridge:9464", "job": "trunkline"}
OF_THE_MACHINE = frozenset({"AudioMadeUp", "EventLoopLate", "MatrixEventsLate", "SipOverload", "StoreSlow"})
"""What a machine that is busy with other things sets off by itself: no surprise where it is not expected."""
_LEVELS = ("gauge", "unknown")
_BEGUN = "process_start_time_seconds"
"""A moment that stays where it is, with the story's beginning as the earliest: a bridge in the process of the tests is
younger than that. Others (`…_timestamp_seconds`) are as far away during a whole passage as they were
when it was scraped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """All series at one moment; of a bridge that does not answer, none."""

    wall: float
    counters: Mapping[str, float]
    levels: Mapping[str, float]
    moments: Mapping[str, float]

    @classmethod
    def of(cls, text: str | None) -> "Scrape":
        """Read an exposition."""
        wall = time.time()
        counters: dict[str, float] = {}
        levels: dict[str, float] = {_series("up", {}): float(text is not None)}
        moments: dict[str, float] = {}
        for family in text_string_to_metric_families(text or ""):
            kind = counters if family.type not in _LEVELS else levels
            is_moment = family.name.endswith("_timestamp_seconds")
            for sample in family.samples:
                # 0 is no moment, but what a level has before anybody sets it.
                target = moments if is_moment and sample.value else kind
                target[_series(sample.name, sample.labels)] = sample.value
        return cls(wall=wall, counters=counters, levels=levels, moments=moments)


def _series(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in {**INSTANCE, **labels}.items())
    return f"{name}{{{pairs}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Some minutes of a story, and what is alerted at their end."""

    title: str
    begins: int
    steps: int
    scrape: Scrape
    firing: frozenset[str]

    @property
    def ends(self) -> int:
        """Its last step."""
        return self.begins + self.steps - 1


class Story:
    """A bridge's metrics over passages, which are scraped one after the other."""

    def __init__(self, exposition: Callable[[], Awaitable[str | None]], *, step_s: int = 60) -> None:
        """`exposition` gives `/metrics`, or `None` when nobody answers; Prometheus scrapes every `step_s`."""
        self._exposition = exposition
        self._step_s = step_s
        self.passages: list[Passage] = []
        """So far."""
        self._told_at = time.time()

    async def passes(self, minutes: float, *firing: str, title: str = "all is well") -> None:
        """What came since the last passage, or is so now, takes `minutes`; at their end these alerts alone fire."""
        begins = self.passages[-1].ends + 1 if self.passages else 0
        steps = max(1, round(minutes * 60 / self._step_s))
        scrape = Scrape.of(await self._exposition())
        self.passages.append(Passage(title=title, begins=begins, steps=steps, scrape=scrape, firing=frozenset(firing)))

    def check(self, rules: Path, directory: Path) -> None:
        """Let promtool evaluate the rules over all of it."""
        file = directory / "story.yml"
        document = {
            "rule_files": [str(rules.absolute())],
            "evaluation_interval": f"{self._step_s}s",
            "tests": [self._unit_test()],
        }
        file.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, width=1_000_000))
        try:
            promtool("test", "rules", file)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._told()}") from None

    def _unit_test(self) -> Mapping[str, Any]:
        names = dict.fromkeys(
            name
            for passage in self.passages
            for kind in (passage.scrape.counters, passage.scrape.levels, passage.scrape.moments)
            for name in kind
        )
        return {
            "interval": f"{self._step_s}s",
            "input_series": [{"series": name, "values": " ".join(self._values(name))} for name in names],
            "promql_expr_test": [
                {
                    "expr": _firing(besides=OF_THE_MACHINE - passage.firing),
                    "eval_time": f"{passage.ends * self._step_s}s",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(passage.firing)
                    ],
                }
                for passage in self.passages
            ],
        }

    def _values(self, name: str) -> Iterator[str]:
        """In promtool's notation: `a+bxn` is a, and n times b more than before."""
        before: float | None = None
        for number, passage in enumerate(self.passages):
            scrape, more = passage.scrape, passage.steps - 1
            if (value := scrape.counters.get(name)) is not None:
                from_ = value if number == 0 else before or 0.0
                rise = (value - from_) / passage.steps if value >= from_ else 0.0
                yield _line(value - more * rise, rise, more)
            elif (value := scrape.moments.get(name)) is not None:
                yield _line(passage.begins * self._step_s + value - scrape.wall, self._step_s, more)
            elif (value := scrape.levels.get(name)) is not None:
                yield _line(max(0.0, value - self._told_at) if name.startswith(_BEGUN) else value, 0.0, more)
            elif before is None:
                yield f"_x{passage.steps}"
            else:
                yield f"stale _x{more}" if more else "stale"
            before = value

    def _told(self) -> str:
        return "\n".join(
            f"until {passage.ends * self._step_s} s: {passage.title}: {sorted(passage.firing)}"
            for passage in self.passages
        )


def _firing(*, besides: frozenset[str]) -> str:
    """The alerts that fire."""
    ignored = "|".join(sorted(besides))
    return f'group by (alertname) (ALERTS{{alertstate="firing",alertname!~"{ignored}"}})'


def _line(first: float, rise: float, more: int) -> str:
    return f"{first!r}{rise:+}x{more}" if more else f"{first!r}"
