"""Our own offers inside a call, one at a time, and what a peer's refusal of one means (RFC 3261 §14.1, RFC 3311)."""

from dataclasses import dataclass

from bridge.core.entropy import Entropy
from bridge.sip.dialog import Session
from bridge.sip.message import Response
from bridge.sip.session_timer import min_se_of
from bridge.sip.usage_events import DialogLost, GlareMet, IntervalTooSmall, ReofferAccepted, ReofferRefused

MAX_RETRIES = 5
"""A peer that is always busy with an offer of its own will not be asked for ever."""

GLARE_WAIT_10MS = {True: (210, 400), False: (0, 200)}
"""In units of 10 ms; whoever made the Call-ID waits longer, so that the two do not meet again (§14.1)."""

_GONE = frozenset((408, 481))
_RETRY_AFTER_MAX_S = 10


@dataclass(slots=True, kw_only=True, eq=False)
class Offering:
    """The offer that waits, and the one that is out."""

    waiting: str | None = None
    """The newest that our user asked for."""
    sent: str | None = None
    asked: bool = False
    """Whether our user waits for the outcome of the one that is out."""
    refresh: bool = False
    """Whether the session as it is has to be offered again, only to confirm it (RFC 4028 §7.4)."""
    retries: int = 0

    @property
    def due(self) -> bool:
        """Whether anything waits to be sent."""
        return (self.waiting is not None or self.refresh) and self.sent is None

    def start(self, session: Session) -> str | None:
        """What goes out now; any offer confirms the session as well."""
        self.asked = self.waiting is not None
        self.sent = self.waiting or session.local_sdp
        self.waiting, self.refresh = None, False
        return self.sent

    def give_back(self) -> bool:
        """It has to be made again, unless a newer one waits; false when that was tried often enough."""
        self.retries += 1
        if self.retries > MAX_RETRIES:
            return False
        if self.asked and self.waiting is None:
            self.waiting = self.sent
        self.refresh = not self.asked
        self.sent = None
        return True

    def finish(self) -> None:
        """Answered or refused."""
        self.sent, self.asked, self.retries = None, False, 0


Outcome = ReofferAccepted | ReofferRefused | GlareMet | IntervalTooSmall | DialogLost


def outcome_of(status: int, response: Response | None) -> Outcome:
    """What the final response to a re-INVITE, or to an UPDATE with an offer, means for the call."""
    if response is not None and status < 300:
        return ReofferAccepted(response=response)
    if status in _GONE:
        return DialogLost(status=status)
    if status == 491:
        return GlareMet(status=status)
    if status == 422 and response is not None and (min_se_s := min_se_of(response)):
        return IntervalTooSmall(min_se_s=min_se_s)
    if status == 500 and response is not None and (wait_s := response.retry_after) is not None:
        return GlareMet(status=status, wait_s=min(wait_s, _RETRY_AFTER_MAX_S))
    return ReofferRefused(status=status)


def glare_wait_s(entropy: Entropy, *, owner: bool) -> float:
    """How long to wait before an offer is made again that met one of the peer's (§14.1)."""
    return entropy.integer(*GLARE_WAIT_10MS[owner]) / 100
