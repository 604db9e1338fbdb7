"""A REFER that we received: its answer and the reports of what comes of it (RFC 3515 §2.4).

A usage of its own beside the call in the dialog (RFC 5057): it goes on when the call is hung up, as many a transferring
phone does right after the 202.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.core.ids import DialogKey
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.dialog import Dialog
from bridge.sip.dialog_request import DialogRequest, request_inside
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Response
from bridge.sip.referral_commands import ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.sipfrag import CONTENT_TYPE, sipfrag
from bridge.sip.timers import Timer

DECISION_S = 10.0
"""A REFER must be answered before its transaction ends at the peer (RFC 3515 §2.4.2)."""

LIFETIME_S = 300.0
"""How long the peer may be told what comes of it; longer than any phone rings."""


class ReferralState(enum.Enum):
    """Where a REFER of the peer stands."""

    ASKED = enum.auto()
    """Our user decides."""
    REPORTING = enum.auto()
    """A NOTIFY is out: the next one waits, or it could overtake."""
    SUBSCRIBED = enum.auto()
    FINISHING = enum.auto()
    """The last NOTIFY is out."""
    SILENT = enum.auto()
    """Accepted, and the peer wants no reports (RFC 4488)."""
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedSilently:
    """Accepted, for a peer that wants no reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReported:
    """The call to the target goes on."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReported:
    """The call to the target is answered, or has failed."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDelivered:
    """2xx to our NOTIFY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRefused:
    """The peer wants no more of them, or is gone (RFC 6665 §4.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeIsUp:
    """Nobody decided, or the subscription expires."""


ReferralEvent = (
    ReferralAccepted
    | AcceptedSilently
    | ReferralRefused
    | ProgressReported
    | OutcomeReported
    | ReportDelivered
    | ReportRefused
    | TimeIsUp
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferralTimer:
    """A deadline of a referral has passed."""

    referral: "Referral"


@dataclass(slots=True, kw_only=True, eq=False)
class Referral:
    """One REFER of the peer."""

    key: DialogKey
    usage: InviteUsage
    """The call in whose dialog it came; over, perhaps, by now."""
    dialog: Dialog
    server: ActiveServer
    silent: bool
    on_end: "Callable[[Referral], None]"
    state: ReferralState = ReferralState.ASKED
    kept: ProgressReported | OutcomeReported | None = None
    """What happened while a NOTIFY was out."""
    expires_at: float = 0.0
    timer: "Timer[object] | None" = None

    def handle(self, event: ReferralEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            self.usage.context.count_unexpected("referral", event)
            return False
        self.state, effects = row
        for effect in effects:
            effect(self, event, now)
        if self.state is ReferralState.ENDED:
            self._close()
        return True

    def steer(self, command: ReferralAccepted | ReferralRefused | ReferralReported, now: float) -> None:
        """What our user wants."""
        match command:
            case ReferralAccepted() if self.silent:
                self.handle(AcceptedSilently(), now)
            case ReferralAccepted() | ReferralRefused():
                self.handle(command, now)
            case ReferralReported(status=status):
                self.handle(ProgressReported(status=status) if status < 200 else OutcomeReported(status=status), now)

    def finished(self, status: int, response: Response | None, now: float) -> None:
        """Our NOTIFY was answered, or never will be; after the end that does not matter."""
        if self.state is not ReferralState.ENDED:
            self.handle(ReportDelivered() if 200 <= status < 300 else ReportRefused(), now)

    def fire(self, now: float) -> None:
        """The deadline has passed."""
        self.timer = None
        self.handle(TimeIsUp(), now)

    def wait(self, seconds: float, now: float) -> None:
        """Set the deadline."""
        self._stop_timer()
        self.expires_at = now + seconds
        self.timer = self.usage.context.timers.schedule(self.expires_at, ReferralTimer(referral=self))

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.usage.context.timers.cancel(self.timer)
            self.timer = None

    def _close(self) -> None:
        self._stop_timer()
        self.on_end(self)


# What is done on the steps.


def accept(referral: Referral, event: ReferralEvent, now: float) -> None:
    """202: it is tried (RFC 3515 §2.4.2)."""
    fields = [referral.usage.contact(referral.server.flow)]
    if referral.silent:
        fields.append(("Refer-Sub", "false"))
    _respond(referral, 202, now, fields)
    referral.wait(LIFETIME_S, now)


def refuse(referral: Referral, event: ReferralEvent, now: float) -> None:
    """Our user does not want to; or did not say in time."""
    _respond(referral, event.status if isinstance(event, ReferralRefused) else 603, now)


def report_trying(referral: Referral, event: ReferralEvent, now: float) -> None:
    """The first NOTIFY goes out at once (RFC 3515 §2.4.4)."""
    _notify(referral, 100, _active(referral, now), now)


def report(referral: Referral, event: ReferralEvent, now: float) -> None:
    """How it goes on."""
    if isinstance(event, ProgressReported):
        _notify(referral, event.status, _active(referral, now), now)


def report_outcome(referral: Referral, event: ReferralEvent, now: float) -> None:
    """The end of it, and of the subscription (RFC 3515 §2.4.7)."""
    status = event.status if isinstance(event, OutcomeReported) else 408
    _notify(referral, status, "terminated;reason=noresource", now)


def report_timeout(referral: Referral, event: ReferralEvent, now: float) -> None:
    """The subscription is over before the call to the target is (RFC 6665 §4.1.3)."""
    _notify(referral, 100, "terminated;reason=timeout", now)


def keep(referral: Referral, event: ReferralEvent, now: float) -> None:
    """For later; only the newest counts, and an outcome stays one."""
    if isinstance(event, ProgressReported | OutcomeReported) and not isinstance(referral.kept, OutcomeReported):
        referral.kept = event


def report_kept(referral: Referral, event: ReferralEvent, now: float) -> None:
    """What happened meanwhile."""
    kept, referral.kept = referral.kept, None
    if kept is not None:
        referral.handle(kept, now)


def _active(referral: Referral, now: float) -> str:
    return f"active;expires={max(1, int(referral.expires_at - now))}"


def _notify(referral: Referral, status: int, subscription: str, now: float) -> None:
    """NOTIFY in the dialog of the REFER; its number tells apart several of them (RFC 3515 §2.4.6)."""
    usage = referral.usage
    request = request_inside(usage, referral.dialog, "NOTIFY")
    request.headers.add("Event", f"refer;id={referral.server.request.cseq.number}")
    request.headers.add("Subscription-State", subscription)
    request.headers.add(*usage.contact(usage.flow_of(referral.dialog)))
    request.headers.add("Content-Type", CONTENT_TYPE)
    request.body = sipfrag(status)
    DialogRequest(usage=usage, dialog=referral.dialog, on_final=referral.finished).send(request, now)


def _respond(referral: Referral, status: int, now: float, fields: list[tuple[str, str]] | None = None) -> None:
    response = referral.server.request.response(status, headers=fields or ())
    referral.usage.context.layer.respond(referral.server, response, now)


R = ReferralState
Effect = Callable[[Referral, ReferralEvent, float], None]

TRANSITIONS: Mapping[tuple[R, type[ReferralEvent]], tuple[R, tuple[Effect, ...]]] = {
    (R.ASKED, ReferralAccepted): (R.REPORTING, (accept, report_trying)),
    (R.ASKED, AcceptedSilently): (R.SILENT, (accept,)),
    (R.ASKED, ReferralRefused): (R.ENDED, (refuse,)),
    (R.ASKED, TimeIsUp): (R.ENDED, (refuse,)),
    (R.REPORTING, ProgressReported): (R.REPORTING, (keep,)),
    (R.REPORTING, OutcomeReported): (R.REPORTING, (keep,)),
    (R.REPORTING, ReportDelivered): (R.SUBSCRIBED, (report_kept,)),
    (R.REPORTING, ReportRefused): (R.ENDED, ()),
    (R.REPORTING, TimeIsUp): (R.ENDED, ()),
    (R.SUBSCRIBED, ProgressReported): (R.REPORTING, (report,)),
    (R.SUBSCRIBED, OutcomeReported): (R.FINISHING, (report_outcome,)),
    (R.SUBSCRIBED, TimeIsUp): (R.FINISHING, (report_timeout,)),
    (R.FINISHING, ReportDelivered): (R.ENDED, ()),
    (R.FINISHING, ReportRefused): (R.ENDED, ()),
    (R.FINISHING, TimeIsUp): (R.ENDED, ()),
    (R.SILENT, ProgressReported): (R.SILENT, ()),
    (R.SILENT, OutcomeReported): (R.ENDED, ()),
    (R.SILENT, TimeIsUp): (R.ENDED, ()),
}
