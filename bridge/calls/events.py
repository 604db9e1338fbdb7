"""What can happen to a call. Frozen values that carry no protocol object, so a call can be written down and replayed.

Here is what comes from nowhere else; each side, and each thing that a call can become, has a module of its own.
"""

from dataclasses import dataclass

from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.handover_events import HandoverEvent
from bridge.calls.hunt_events import HuntEvent
from bridge.calls.matrix_events import MatrixEvent
from bridge.calls.media_events import MediaEvent
from bridge.calls.menu_events import MenuEvent
from bridge.calls.message_events import MessageEvent
from bridge.calls.sip_events import SipEvent
from bridge.calls.state import Timer
from bridge.calls.transfer_events import TransferEvent
from bridge.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPermitted:
    """Policy let an outgoing call pass. `hold_s` waits for a hangup that may lie further back in a backlog."""

    hold_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """The call may not or cannot be made; nothing has been sent on the other side yet."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Trunkline itself ends the call: shutdown, an operator, or an internal error."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A deadline of the call has passed."""

    timer: Timer


Event = (
    CallPermitted
    | CallRefused
    | Aborted
    | TimerFired
    | MatrixEvent
    | SipEvent
    | MediaEvent
    | TransferEvent
    | HandoverEvent
    | MessageEvent
    | AnnouncementReady
    | HuntEvent
    | MenuEvent
)
