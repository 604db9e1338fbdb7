"""What a metric is: name, kind, what it says, labels and the values that they may take."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """What a metric does over time."""

    COUNTER = enum.auto()
    GAUGE = enum.auto()
    HISTOGRAM = enum.auto()


class Open(enum.Enum):
    """Label values that are not listed here, and bounded all the same."""

    TRUNKS = enum.auto()
    """The trunks of the configuration."""
    TRUNKS_OR_NONE = enum.auto()
    """They, or none: what may end before a trunk is chosen."""
    SERVERS = enum.auto()
    """Places in media.rtpengine, which few have: whoever knows of them begins their counters."""
    CLASSES = enum.auto()
    """Names of classes of our own code."""


LabelValues = frozenset[str] | Open
TRUNKS, TRUNKS_OR_NONE, SERVERS, CLASSES = Open.TRUNKS, Open.TRUNKS_OR_NONE, Open.SERVERS, Open.CLASSES

OPERATION_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Buckets of things that a program does."""
SETUP_S = (0.1, 0.5, 1.0, 2.0, 3.0, 6.0, 10.0, 20.0, 60.0)
"""Buckets of a call's first stages: few, for each trunk has them; alerts begin at 3 and 6."""
NETWORK_S = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0)
"""Buckets of ways there and back."""
CALL_S = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0)
"""Buckets of things that people do."""
LAG_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Buckets of delays that audio (a packet every 20 ms) can or cannot bear."""
STORE_S = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Buckets of a database on a disk of this machine."""
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
OPINIONS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.4)
"""Buckets of mean opinion scores: 3.1 is where many users are dissatisfied, 4.0 where all are satisfied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One declaration."""

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, LabelValues] = field(default_factory=dict)
    buckets: Sequence[float] = OPERATION_S


def one_of(*values: str) -> frozenset[str]:
    """A closed set of label values."""
    return frozenset(values)


def counter(name: str, help: str, **labels: LabelValues) -> Metric:
    """What only grows, and is named `_total`."""
    return Metric(name=name, kind=Kind.COUNTER, help=help, labels=labels)


def gauge(name: str, help: str, **labels: LabelValues) -> Metric:
    """What rises and falls."""
    return Metric(name=name, kind=Kind.GAUGE, help=help, labels=labels)


def histogram(name: str, help: str, buckets: Sequence[float], **labels: LabelValues) -> Metric:
    """How values are distributed over the buckets."""
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help, labels=labels, buckets=buckets)
