"""A request that holds for a time, and is sent anew before that ends: REGISTER and SUBSCRIBE have this in common.

RFC 3261 §10.2.4, RFC 6665 §4.1.2.2; recovery is that of RFC 5626 §4.5.
"""

import abc
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.sip.active_transaction import ActiveClient
from bridge.sip.context import Context
from bridge.sip.credentials import Attempts
from bridge.sip.failover import Hop, Hunt
from bridge.sip.message import Request, Response
from bridge.sip.renewal_events import AttemptDue, Challenged, Failed, TooBrief
from bridge.sip.requests import repeated
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState

MAX_EXPIRES_S = 86_400

RETRY_BASE_S = 30.0
RETRY_MAX_S = 1800.0
"""RFC 5626 §4.5."""

REFRESH_SHARE = (0.5, 0.9)
"""When it is refreshed, as a share of what was granted: spread out, so that not all come back at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RenewalTimer:
    """The next attempt is due."""

    renewal: "Renewal"


@dataclass(slots=True, kw_only=True, eq=False)
class Renewal(abc.ABC):
    """The user of the transactions of such a request. What its answers mean, and what follows, is its subclass's."""

    trunk: TrunkState
    context: Context
    expires_s: int
    """What is asked for."""
    cseq: int = 0
    failures: int = 0
    """In a row."""
    brief: bool = False
    """Whether a 423 was met already."""
    attempts: Attempts = field(default_factory=Attempts)
    current: ActiveClient | None = None
    hunt: Hunt | None = None
    timer: "Timer[object] | None" = None

    @abc.abstractmethod
    def handle(self, event: Failed | AttemptDue, now: float) -> bool:
        """Take one step; false when the table has no such step."""

    @abc.abstractmethod
    def answered(self, client: ActiveClient, response: Response, now: float) -> None:
        """The final response to the newest request."""

    def asked_again(self, client: ActiveClient, response: Response) -> Challenged | TooBrief | None:
        """What the server wants to hear before it says yes, if we can say it."""
        if response.status in (401, 407):
            credentials = self.trunk.credentials_for(client, response, self.attempts)
            return Challenged(credentials=tuple(credentials)) if credentials else None
        if response.status == 423 and not self.brief:
            return TooBrief(min_expires_s=_min_expires_s(response))
        return None

    def send(self, request: Request, hops: Iterable[Hop], now: float) -> None:
        """Send a request that nobody has answered or challenged, by the first of these ways that leads somewhere."""
        self.attempts = Attempts()
        self.hunt = Hunt.through(hops, context=self.context, trunk=self.trunk, user=self)
        self.current = self.hunt.start(request, now)

    # From the transactions.

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """The server's answer."""
        if client is self.current and response.status >= 200:
            self.answered(client, response, now)

    def moved(self, client: ActiveClient, now: float) -> None:
        """The request goes on at another server, which has not asked for anything yet."""
        self.current = client
        self.cseq = client.request.cseq.number
        self.attempts = Attempts()

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the server."""
        if client is self.current:
            self.handle(Failed(status=status), now)

    # Time.

    def wait(self, seconds: float, now: float) -> None:
        """Set the time of the next attempt."""
        self.stop_timer()
        self.timer = self.context.timers.schedule(now + seconds, RenewalTimer(renewal=self))

    def wait_after_failure(self, retry_after_s: float, now: float) -> None:
        """Wait twice as long after each failure, and as long as the server wants, up to half an hour.

        Never in step with others (RFC 5626 §4.5).
        """
        self.failures += 1
        limit_s = min(RETRY_MAX_S, RETRY_BASE_S * 2 ** min(self.failures - 1, 16))
        self.wait(max(self.context.entropy.uniform(0.5, 1.0) * limit_s, min(retry_after_s, RETRY_MAX_S)), now)

    def stop_timer(self) -> None:
        """Make no further attempt."""
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None

    def fire(self, now: float) -> None:
        """The next attempt is due."""
        self.timer = None
        self.handle(AttemptDue(), now)


def _min_expires_s(response: Response) -> int:
    """The shortest interval that the server accepts (RFC 3261 §20.23)."""
    value = (response.headers.get("Min-Expires") or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else MAX_EXPIRES_S


# What is done on the steps that all have.


def send_with_credentials(renewal: Renewal, event: object, now: float) -> None:
    """The same again, with the digest (RFC 3261 §22.2)."""
    match event:
        case Challenged(credentials=credentials) if renewal.current and renewal.hunt:
            renewal.cseq += 1
            again = repeated(renewal.current.request, cseq=renewal.cseq, credentials=credentials)
            renewal.current = renewal.hunt.repeat(again, now)


def lengthen(renewal: Renewal, event: object, now: float) -> None:
    """Ask for as long as the server wants, once (RFC 3261 §10.2.8)."""
    match event:
        case TooBrief(min_expires_s=min_expires_s):
            renewal.brief = True
            renewal.expires_s = max(renewal.expires_s, min(min_expires_s, MAX_EXPIRES_S))


def stop_timer(renewal: Renewal, event: object, now: float) -> None:
    """No further attempts."""
    renewal.stop_timer()


def try_no_other(renewal: Renewal, event: object, now: float) -> None:
    """The request that waits for its answer goes to no further server."""
    if renewal.hunt is not None:
        renewal.hunt.settle()
