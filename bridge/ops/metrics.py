"""The telemetry port on Prometheus: only what :mod:`bridge.ops.declarations` declares can be counted."""

import itertools
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from bridge.core.errors import TrunklineError
from bridge.core.ids import TrunkName
from bridge.ops.declarations import METRICS
from bridge.ops.declarations.label_values import MEDIA_SERVERS, NO_TRUNK
from bridge.ops.declarations.metric import Kind, LabelValues, Metric, Open
from bridge.ops.own_process import OwnProcess

_log = structlog.get_logger(__name__)
_PREFIX = "trunkline_"
_MAX_PREPARED = 64
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,39}\Z")

Collector = Counter | Gauge | Histogram
AnyCollector = TypeVar("AnyCollector", Counter, Gauge, Histogram)
Key = tuple[str, tuple[tuple[str, str], ...]]


class UndeclaredMetricError(TrunklineError):
    """A metric, a label or a label value that no declaration allows: a mistake in our code."""


class PrometheusTelemetry:
    """Counts into a registry of its own.

    `strict` raises :class:`UndeclaredMetricError` for what was not declared, as tests want. In production that is
    logged once and counted, because a wrong label must not end a stranger's call.
    """

    def __init__(self, *, trunks: Iterable[TrunkName], version: str, strict: bool = False) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, that nobody asks for
        self.registry = CollectorRegistry()
        self._strict = strict
        self._trunks = frozenset[str](trunks)
        self._former_trunks: frozenset[str] = frozenset()
        """Their last calls are counted, but nothing of them is shown before."""
        self._metrics = {metric.name: metric for metric in METRICS}
        self._collectors = {metric.name: self._register(metric) for metric in METRICS}
        self._children: dict[Key, Collector] = {}
        self._complained: set[str] = set()
        self._prepare()
        self._describe_process(version)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        if (counter := self._child(Counter, name, labels)) is not None:
            counter.inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one value of a distribution."""
        if (histogram := self._child(Histogram, name, labels)) is not None:
            histogram.observe(value)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a level."""
        if (gauge := self._child(Gauge, name, labels)) is not None:
            gauge.set(value)

    def know_trunks(self, trunks: Iterable[TrunkName]) -> None:
        """Count for these trunks too."""
        self._trunks |= frozenset[str](trunks)
        self._former_trunks -= self._trunks
        self._prepare()

    def forget_trunk(self, trunk: TrunkName) -> None:
        """Show nothing of a trunk that is gone. What its last calls still count begins anew, and is forgotten after."""
        self._trunks -= {trunk}
        self._former_trunks |= {trunk}
        self._remove(METRICS, trunk)

    def forget_level(self, name: str, trunk: TrunkName) -> None:
        """Show a level of a trunk no more that goes on without what it was the level of."""
        self._remove((self._metrics[name],), trunk)

    def _remove(self, metrics: Sequence[Metric], trunk: TrunkName) -> None:
        for metric in metrics:
            for label, values in metric.labels.items():
                if values in (Open.TRUNKS, Open.TRUNKS_OR_NONE):
                    self._collectors[metric.name].remove_by_labels({label: trunk})
        names = {metric.name for metric in metrics}
        for key in list(self._children):  # A copy: other threads count meanwhile.
            if key[0] in names and trunk in dict(key[1]).values():
                del self._children[key]

    def exposition(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)

    def _register(self, metric: Metric) -> Collector:
        name, labels = _PREFIX + metric.name, tuple(metric.labels)
        match metric.kind:
            case Kind.COUNTER:
                return Counter(name, metric.help, labels, registry=self.registry)
            case Kind.GAUGE:
                return Gauge(name, metric.help, labels, registry=self.registry)
            case Kind.HISTOGRAM:
                return Histogram(name, metric.help, labels, registry=self.registry, buckets=metric.buckets)

    def _prepare(self) -> None:
        """Begin every counter at 0: a rate over a series that appears with its first error would miss that error."""
        for metric in METRICS:
            values = [sorted(self._known(allowed)) for allowed in metric.labels.values()]
            combinations = list(itertools.islice(itertools.product(*values), _MAX_PREPARED + 1))
            if metric.kind is Kind.COUNTER and metric.labels and len(combinations) <= _MAX_PREPARED:
                for combination in combinations:
                    self._collectors[metric.name].labels(*combination)

    def _describe_process(self, version: str) -> None:
        OwnProcess(registry=self.registry)
        info = Gauge(_PREFIX + "build_info", "What runs here; always 1.", ("version", "python"), registry=self.registry)
        info.labels(version, platform.python_version()).set(1)

    def _child(self, kind: type[AnyCollector], name: str, labels: Mapping[str, str]) -> AnyCollector | None:
        """The time series, kept because looking it up in the client library takes a lock and a sort."""
        key = (name, tuple(labels.items()))
        child = self._children.get(key)
        if isinstance(child, kind):
            return child
        objection = self._objection(kind, name, labels)
        if objection is not None:
            self._refuse(name, objection)
            return None
        collector = self._collectors[name]
        child = self._children[key] = collector.labels(**labels) if labels else collector
        return child if isinstance(child, kind) else None

    def _objection(self, kind: type[Collector], name: str, labels: Mapping[str, str]) -> str | None:
        """What no declaration allows, or `None`."""
        metric = self._metrics.get(name)
        if metric is None:
            return "is not declared"
        if not isinstance(self._collectors[name], kind):
            return f"is no {kind.__name__.lower()}"
        if labels.keys() != metric.labels.keys():
            return f"takes the labels {', '.join(metric.labels) or 'none'}"
        strange = [label for label, value in labels.items() if not self._allows(metric.labels[label], value)]
        return f"does not know {strange[0]}={labels[strange[0]]!r}" if strange else None

    def _allows(self, values: LabelValues, value: str) -> bool:
        match values:
            case Open.TRUNKS | Open.TRUNKS_OR_NONE:
                return value in self._known(values) or value in self._former_trunks
            case Open.SERVERS:
                return value in MEDIA_SERVERS
            case Open.CLASSES:
                return _CLASS.match(value) is not None
            case _:
                return value in values

    def _known(self, values: LabelValues) -> frozenset[str]:
        """The values that can be listed, and are shown before anything happened."""
        match values:
            case Open.TRUNKS:
                return self._trunks
            case Open.TRUNKS_OR_NONE:
                return self._trunks | {NO_TRUNK}
            case Open.SERVERS | Open.CLASSES:
                return frozenset()
            case _:
                return values

    def _refuse(self, name: str, why: str) -> None:
        if self._strict:
            raise UndeclaredMetricError(f"{name} {why}")
        self.count("internal_errors_total", component="telemetry")
        if name not in self._complained:
            self._complained.add(name)
            _log.error("metric_refused", metric=name, why=why)
