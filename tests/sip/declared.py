"""Metrics as they are declared: the tests' user agents may count nothing that the real ones would refuse."""

import functools

from bridge.core.ids import TrunkName
from bridge.ops.metrics import PrometheusTelemetry
from bridge.sip.actions import Count


@functools.cache
def strict_telemetry(*trunks: TrunkName) -> PrometheusTelemetry:
    """Raises on an undeclared metric, label or label value."""
    return PrometheusTelemetry(trunks=trunks, version="test", strict=True)


def is_declared(count: Count, *trunks: TrunkName) -> Count:
    """The count itself, if the declarations allow it."""
    strict_telemetry(*trunks).count(count.name, 1, **count.labels)
    return count
