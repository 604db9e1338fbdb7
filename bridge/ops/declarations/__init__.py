"""Every metric of Trunkline, declared once: name, kind, what it says, labels and the values that they may take.

Names follow Prometheus: base units, `_total` for counters. A label value always comes from a closed set, never from a
user, a room, a number or a Call-ID, because every value is a time series that is kept for ever.
"""

from bridge.ops.declarations.calls import CALLS
from bridge.ops.declarations.matrix import MATRIX
from bridge.ops.declarations.media import MEDIA
from bridge.ops.declarations.metric import Metric
from bridge.ops.declarations.process import PROCESS
from bridge.ops.declarations.sip import SIP

METRICS: tuple[Metric, ...] = (*PROCESS, *CALLS, *MATRIX, *SIP, *MEDIA)
