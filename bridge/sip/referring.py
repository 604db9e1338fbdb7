"""A REFER of ours, and the reports of what comes of it (RFC 3515 §2.4.1, §2.4.4).

Like a REFER of the peer it is a usage of its own beside the call in the dialog (RFC 5057).
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.core.ids import DialogKey
from bridge.sip.dialog import Dialog
from bridge.sip.dialog_request import DialogRequest, request_inside
from bridge.sip.events import ReferralProgress
from bridge.sip.grammar import BLANKS, parse_params
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Request, Response
from bridge.sip.sipfrag import status_of
from bridge.sip.timers import Timer

LIFETIME_S = 300.0
"""Reports are awaited this long after the first; longer than any phone rings."""

UNKNOWN = 408
"""What we make of a peer that never told how it ended."""


class ReferringState(enum.Enum):
    """Where a REFER of ours stands."""

    REFERRING = enum.auto()
    """No final response yet."""
    SUBSCRIBED = enum.auto()
    """Accepted: reports are awaited."""
    CONCLUDED = enum.auto()
    """The outcome came before the response did."""
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferAccepted:
    """2xx to our REFER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferRefused:
    """Any other final response to our REFER, or none."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived:
    """A NOTIFY, after which more will come; it need not say anything."""

    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReceived:
    """The NOTIFY after which none will come."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOverdue:
    """The peer has been silent for too long (RFC 6665 §4.1.2.4)."""


ReferringEvent = ReferAccepted | ReferRefused | ReportReceived | OutcomeReceived | ReportOverdue


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferringTimer:
    """A report is overdue."""

    referring: "Referring"


@dataclass(slots=True, kw_only=True, eq=False)
class Referring:
    """One REFER of ours."""

    key: DialogKey
    usage: InviteUsage
    """The call whose peer is asked; over, perhaps, by now."""
    dialog: Dialog
    on_end: "Callable[[Referring], None]"
    state: ReferringState = ReferringState.REFERRING
    request: DialogRequest | None = None
    hosts: frozenset[str] = field(default_factory=frozenset)
    """Whose messages are read for its sake."""
    timer: "Timer[object] | None" = None

    def start(self, fields: tuple[tuple[str, str], ...], now: float) -> None:
        """Send the REFER, and read what comes from where the peer is, even when the call is over."""
        self.hosts = self.dialog.hosts
        for host in self.hosts:
            self.usage.context.peers.meet(host)
        request = request_inside(self.usage, self.dialog, "REFER")
        request.headers.add(*self.usage.contact(self.usage.flow_of(self.dialog)))
        for name, value in fields:
            request.headers.add(name, value)
        self.request = DialogRequest(usage=self.usage, dialog=self.dialog, on_final=self.finished)
        self.request.send(request, now)

    def handle(self, event: ReferringEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            self.usage.context.count_unexpected("referring", event)
            return False
        self.state, effects = row
        for effect in effects:
            effect(self, event, now)
        if self.state is ReferringState.ENDED:
            self._close()
        return True

    def finished(self, status: int, response: Response | None, now: float) -> None:
        """Our REFER was answered, or never will be."""
        self.handle(ReferAccepted() if 200 <= status < 300 else ReferRefused(status=status), now)

    def concerns(self, request: Request) -> bool:
        """Whether a NOTIFY is for this REFER: it names its number, or leaves it out (RFC 3515 §2.4.6)."""
        number = parse_params(_after_token(request, "Event")).get("id")
        client = self.request.client if self.request is not None else None
        return number is None or (client is not None and number == str(client.request.cseq.number))

    def take_report(self, request: Request, now: float) -> None:
        """A NOTIFY for this REFER; what nobody can read changes nothing, and raises `SipError`.

        Without Subscription-State, which old peers leave out, it is not the last one unless its status is final.
        """
        status = status_of(request)
        over = _token(request, "Subscription-State") == "terminated"
        if over and (status is None or status < 200):
            self.handle(OutcomeReceived(status=UNKNOWN), now)
        elif status is not None and status >= 200:
            self.handle(OutcomeReceived(status=status), now)
        else:
            self.handle(ReportReceived(status=status), now)

    def fire(self, now: float) -> None:
        """The deadline has passed."""
        self.timer = None
        self.handle(ReportOverdue(), now)

    def wait(self, seconds: float, now: float) -> None:
        """Set the deadline."""
        self._stop_timer()
        self.timer = self.usage.context.timers.schedule(now + seconds, ReferringTimer(referring=self))

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.usage.context.timers.cancel(self.timer)
            self.timer = None

    def _close(self) -> None:
        self._stop_timer()
        for host in self.hosts:
            self.usage.context.peers.part(host)
        self.on_end(self)


def event_package(request: Request) -> str:
    """The package of a NOTIFY (RFC 6665 §8.2.1)."""
    return _token(request, "Event")


def _token(request: Request, name: str) -> str:
    return (request.headers.get(name) or "").partition(";")[0].strip(BLANKS).lower()


def _after_token(request: Request, name: str) -> str:
    _, mark, params = (request.headers.get(name) or "").partition(";")
    return mark + params


# What is done on the steps.


def tell(referring: Referring, event: ReferringEvent, now: float) -> None:
    """Tell our user, if there is anything to tell."""
    match event:
        case ReportReceived(status=int() as status) | OutcomeReceived(status=status):
            referring.usage.context.emit(ReferralProgress(dialog=referring.key, status=status))
        case ReferRefused(status=status):
            referring.usage.context.emit(ReferralProgress(dialog=referring.key, status=status, refused=True))
        case ReportOverdue():
            referring.usage.context.emit(ReferralProgress(dialog=referring.key, status=UNKNOWN))


def await_first(referring: Referring, event: ReferringEvent, now: float) -> None:
    """The first report comes at once, or never (RFC 6665 §4.1.2.4: timer N)."""
    if referring.timer is None:
        referring.wait(referring.usage.context.layer.timing.timeout_s, now)


def await_next(referring: Referring, event: ReferringEvent, now: float) -> None:
    """A peer that reports may take as long as a phone rings."""
    referring.wait(LIFETIME_S, now)


R = ReferringState
Effect = Callable[[Referring, ReferringEvent, float], None]

TRANSITIONS: Mapping[tuple[R, type[ReferringEvent]], tuple[R, tuple[Effect, ...]]] = {
    (R.REFERRING, ReferAccepted): (R.SUBSCRIBED, (await_first,)),
    (R.REFERRING, ReferRefused): (R.ENDED, (tell,)),
    (R.REFERRING, ReportReceived): (R.REFERRING, (await_next, tell)),
    (R.REFERRING, OutcomeReceived): (R.CONCLUDED, (tell,)),
    (R.REFERRING, ReportOverdue): (R.REFERRING, ()),
    (R.SUBSCRIBED, ReportReceived): (R.SUBSCRIBED, (await_next, tell)),
    (R.SUBSCRIBED, OutcomeReceived): (R.ENDED, (tell,)),
    (R.SUBSCRIBED, ReportOverdue): (R.ENDED, (tell,)),
    (R.CONCLUDED, ReferAccepted): (R.ENDED, ()),
    (R.CONCLUDED, ReferRefused): (R.ENDED, ()),
    (R.CONCLUDED, ReportReceived): (R.CONCLUDED, ()),
    (R.CONCLUDED, OutcomeReceived): (R.CONCLUDED, ()),
    (R.CONCLUDED, ReportOverdue): (R.CONCLUDED, ()),
}
