"""Watching a phone of a PBX: a subscription to its dialogs, kept up (RFC 6665 §4.1, RFC 4235)."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.sip.context import Context
from bridge.sip.credentials import Attempts
from bridge.sip.dialog import Dialog
from bridge.sip.dialog_info import CONTENT_TYPE, DialogInfo, PhoneState, phone_state, read_dialog_info
from bridge.sip.dialog_request import INDIFFERENT
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import PhoneStateChanged
from bridge.sip.failover import Hop, Hunt, hops_of
from bridge.sip.fields import NameAddr
from bridge.sip.grammar import BLANKS, parse_params
from bridge.sip.message import Request, Response
from bridge.sip.number_forms import written_called
from bridge.sip.register import min_expires_s
from bridge.sip.requests import new_request, repeated
from bridge.sip.timers import Timer
from bridge.sip.transaction_layer import ActiveClient
from bridge.sip.trunks import TrunkState

EVENT_PACKAGE = "dialog"
EXPIRES_S = 3600
MAX_EXPIRES_S = 86_400
MIN_EXPIRES_S = 30
"""A PBX that grants less has not let us in: keeping up with it would be a flood."""
REFRESH_SHARE = (0.5, 0.9)
RETRY_BASE_S = 30.0
RETRY_MAX_S = 1800.0
SOON_S = (1.0, 5.0)
"""The PBX was restarted, or asked for a new subscription (RFC 6665 §4.1.3); not for all phones at once."""

_RENEW_REASONS = frozenset(("deactivated", "timeout"))
_OVER = frozenset((404, 405, 481, 489, 501))
"""To a refresh: the subscription is gone (RFC 6665 §4.1.2.2, RFC 5057 §5.1)."""

WatchName = tuple[str, str]
"""Call-ID and our tag: a NOTIFY may come before the response that makes the dialog (RFC 6665 §4.1.2.4)."""


class WatchState(enum.Enum):
    """Where a subscription stands."""

    IDLE = enum.auto()
    SUBSCRIBING = enum.auto()
    SUBSCRIBED = enum.auto()
    REFRESHING = enum.auto()
    WAITING = enum.auto()
    """For the next attempt."""
    STOPPED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Subscribe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """2xx."""

    expires_s: int
    dialog: Dialog | None
    """`None` for a refresh, which makes no new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged:
    """401 or 407 that we can answer."""

    credentials: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TooBrief:
    """423: the PBX wants longer intervals."""

    min_expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Refused, unanswered, or ended by the PBX; `soon` where it wants a new subscription."""

    status: int
    retry_after_s: float = 0.0
    soon: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A NOTIFY; without a document it says only that the subscription lives."""

    info: DialogInfo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDue:
    """Time to refresh, or to try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressFound:
    """The name of the PBX has an address at last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """Watch no more."""


WatchEvent = Started | Accepted | Challenged | TooBrief | Failed | Told | AttemptDue | AddressFound | StopAsked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchTimer:
    """The next attempt is due."""

    watch: "PhoneWatch"


@dataclass(slots=True, kw_only=True, eq=False)
class PhoneWatch:
    """One phone, by the name that calls to it have."""

    trunk: TrunkState
    context: Context
    phone: str
    names: "dict[WatchName, PhoneWatch]"
    """Shared by all watches: where NOTIFY requests find theirs."""
    state: WatchState = WatchState.IDLE
    name: WatchName = ("", "")
    cseq: int = 0
    expires_s: int = EXPIRES_S
    brief: bool = False
    failures: int = 0
    dialog: Dialog | None = None
    notify_cseq: int = -1
    version: int = -1
    dialogs: dict[str, str] = field(default_factory=dict)
    seen: PhoneState = PhoneState.UNKNOWN
    attempts: Attempts = field(default_factory=Attempts)
    current: ActiveClient | None = None
    hunt: Hunt | None = None
    timer: "Timer[object] | None" = None

    def handle(self, event: WatchEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            labels = {"machine": "phone_watch", "event": type(event).__name__}
            self.context.count("sip_unexpected_events_total", **labels)
            return False
        self.state, effects = row
        for effect in effects:
            effect(self, event, now)
        return True

    # From the transactions.

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """The answer of the PBX."""
        if client is self.current and response.status >= 200:
            self.handle(self._event_of(client, response), now)

    def moved(self, client: ActiveClient, now: float) -> None:
        """The request goes on at another server, which has not asked for anything yet."""
        self.current, self.attempts = client, Attempts()

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the PBX."""
        if client is self.current:
            self.handle(Failed(status=status), now)

    def fire(self, now: float) -> None:
        """The next attempt is due."""
        self.timer = None
        self.handle(AttemptDue(), now)

    def _event_of(self, client: ActiveClient, response: Response) -> WatchEvent:
        status = response.status
        if status < 300:
            return self._success(client, response)
        if status in (401, 407):
            credentials = self.trunk.credentials_for(client, response, self.attempts)
            if credentials:
                return Challenged(credentials=tuple(credentials))
        if status == 423 and not self.brief:
            return TooBrief(min_expires_s=min_expires_s(response))
        gone = self.state is WatchState.REFRESHING and status in _OVER
        return Failed(status=status, retry_after_s=float(response.retry_after or 0), soon=gone)

    def _success(self, client: ActiveClient, response: Response) -> WatchEvent:
        try:
            granted_s = self.expires_s if response.expires is None else response.expires
            dialog = None if self.dialog is not None else Dialog.from_response(client.request, response)
        except SipError:
            return Failed(status=400)
        if granted_s < MIN_EXPIRES_S:
            return Failed(status=response.status)
        return Accepted(expires_s=min(granted_s, MAX_EXPIRES_S), dialog=dialog)

    # From the PBX.

    def take_notify(self, request: Request, now: float) -> None:
        """A NOTIFY of this subscription; raises `SipError` for what cannot be read, which changes nothing."""
        if self.dialog is not None and request.from_.tag != self.dialog.remote.tag:
            raise SipError(481, "Subscription Does Not Exist")
        if request.cseq.number <= self.notify_cseq:
            raise SipError(500, "Out of Order")
        info = _document(request)
        self.notify_cseq = request.cseq.number
        substate, params = _subscription_state(request)
        if substate != "terminated":
            self.handle(Told(info=info), now)
            return
        retry_after = (params.get("retry-after") or "").strip()
        wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 8 else 0.0
        renew = (params.get("reason") or "").lower() in _RENEW_REASONS
        self.handle(Failed(status=200, retry_after_s=wait_s, soon=renew and not wait_s), now)

    def show(self, state: PhoneState) -> None:
        """Tell our user what the phone does, if that is new."""
        if state is not self.seen:
            self.seen = state
            self.context.emit(PhoneStateChanged(trunk=self.trunk.trunk.name, phone=self.phone, state=state))

    def wait(self, seconds: float, now: float) -> None:
        """Set the time of the next attempt."""
        self.stop_timer()
        self.timer = self.context.timers.schedule(now + seconds, WatchTimer(watch=self))

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None

    def forget(self) -> None:
        """Nothing that comes for the subscription so far counts any more."""
        self.names.pop(self.name, None)
        if self.hunt is not None:
            self.hunt.settle()
        self.dialog = self.current = self.hunt = None
        self.dialogs.clear()
        self.version = self.notify_cseq = -1


def _document(request: Request) -> DialogInfo | None:
    if not request.body:
        return None
    if request.content_type != CONTENT_TYPE:
        raise SipError(415, "Unsupported Media Type")
    return read_dialog_info(request.body)


def _subscription_state(request: Request) -> tuple[str, Mapping[str, str | None]]:
    word, mark, params = (request.headers.get("Subscription-State") or "").partition(";")
    return word.strip(BLANKS).lower(), parse_params(mark + params)


# What is done on the steps.


def subscribe(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """A new subscription: a new Call-ID and tag, so that nothing of the last one is taken for it."""
    context, trunk = watch.context, watch.trunk
    watch.forget()
    watch.name = (context.entropy.token(24), context.entropy.token(12))
    watch.names[watch.name] = watch
    watch.attempts = Attempts()
    hops = hops_of(trunk, context.entropy, now)
    request = _first_request(watch, hops[0]) if hops else None
    if request is None:
        watch.handle(Failed(status=503), now)
        return
    watch.hunt = Hunt.through(hops, context=context, trunk=trunk, user=watch)
    watch.current = watch.hunt.start(request, now)


def _first_request(watch: PhoneWatch, hop: Hop) -> Request | None:
    trunk, (sip_call_id, tag) = watch.trunk, watch.name
    try:
        target = trunk.uri(written_called(watch.phone, trunk.trunk))
    except LocalSipError:
        return None
    own = NameAddr("", trunk.uri(trunk.register_user or None), {"tag": tag})
    watch.cseq += 1
    fields = (*trunk.route_fields(), *_fields(watch, hop))
    return new_request(
        "SUBSCRIBE",
        target,
        from_=own,
        to=NameAddr("", target),
        sip_call_id=sip_call_id,
        cseq=watch.cseq,
        fields=fields,
    )


def _fields(watch: PhoneWatch, hop: Hop) -> tuple[tuple[str, str], ...]:
    contact = watch.trunk.contact(watch.context.layer.local_address(hop.flow))
    return (
        ("Contact", f"<{contact}>"),
        ("Event", EVENT_PACKAGE),
        ("Accept", CONTENT_TYPE),
        ("Expires", str(watch.expires_s)),
        ("User-Agent", watch.context.settings.user_agent),
    )


def refresh(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """The same inside the dialog (RFC 6665 §4.1.2.2)."""
    request, hop = _inside(watch)
    watch.attempts = Attempts()
    watch.hunt = Hunt.through([hop], context=watch.context, trunk=watch.trunk, user=watch)
    watch.current = watch.hunt.start(request, now)


def _inside(watch: PhoneWatch) -> tuple[Request, Hop]:
    if watch.dialog is None or watch.current is None:
        raise LookupError("there is no subscription yet")
    last = watch.current.flow
    try:
        flow = watch.context.flow_to(watch.dialog.next_hop, watch.trunk, like=last)
    except SipError:
        flow = last
    watch.dialog.local_cseq = watch.cseq
    request, hop = watch.dialog.request("SUBSCRIBE"), Hop(flow=flow)
    watch.cseq = watch.dialog.local_cseq
    for name, value in _fields(watch, hop):
        request.headers.add(name, value)
    return request, hop


def send_with_credentials(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """The same again, with the digest (RFC 3261 §22.2)."""
    match event:
        case Challenged(credentials=credentials) if watch.current and watch.hunt:
            watch.cseq += 1
            again = repeated(watch.current.request, cseq=watch.cseq, credentials=credentials)
            watch.current = watch.hunt.repeat(again, now)


def lengthen(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Ask for as long as the PBX wants, once."""
    match event:
        case TooBrief(min_expires_s=min_expires_s):
            watch.brief = True
            watch.expires_s = max(watch.expires_s, min(min_expires_s, MAX_EXPIRES_S))


def schedule_refresh(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Well before the subscription ends."""
    match event:
        case Accepted(expires_s=expires_s, dialog=dialog):
            if dialog is None:  # It has lasted: a PBX that accepts and ends at once is asked ever less often.
                watch.failures = 0
            watch.dialog, watch.brief = dialog or watch.dialog, False
            watch.wait(expires_s * watch.context.entropy.uniform(*REFRESH_SHARE), now)
            _count(watch, "accepted")


def schedule_retry(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Wait twice as long after each failure, and as long as the PBX wants, up to half an hour."""
    watch.forget()
    entropy = watch.context.entropy
    match event:
        case Failed(soon=True) if not watch.failures:
            watch.failures = 1
            watch.wait(entropy.uniform(*SOON_S), now)
        case Failed(retry_after_s=retry_after_s):
            watch.failures += 1
            limit_s = min(RETRY_MAX_S, RETRY_BASE_S * 2 ** min(watch.failures - 1, 16))
            watch.wait(max(entropy.uniform(0.5, 1.0) * limit_s, min(retry_after_s, RETRY_MAX_S)), now)


def note_failure(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """A phone of which nothing is heard has no state."""
    match event:
        case Failed(status=status):
            _count(watch, "failed")
            watch.context.note("phone_not_watched", warning=True, trunk=watch.trunk.trunk.name, sip_status=status)
    watch.show(PhoneState.UNKNOWN)


def take_state(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Full states take the place of what was known, partial ones change it; old ones do neither (RFC 4235 §4.1)."""
    match event:
        case Told(info=DialogInfo(version=version, full=full, states=states)) if version > watch.version:
            missed = not full and version > watch.version + 1
            watch.version = version
            watch.dialogs = dict(states) if full else {**watch.dialogs, **states}
            watch.dialogs = {key: state for key, state in watch.dialogs.items() if state != "terminated"}
            while len(watch.dialogs) > MAX_KNOWN:
                watch.dialogs.pop(next(iter(watch.dialogs)))
            watch.show(phone_state(watch.dialogs.values()))
            if missed and watch.state is WatchState.SUBSCRIBED:
                watch.wait(watch.context.entropy.uniform(*SOON_S), now)  # A refresh brings the full state.


def stop_timer(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """No further attempts."""
    watch.stop_timer()


def unsubscribe(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Have the PBX send no more (RFC 6665 §4.1.2.3); whether it heard that does not matter."""
    watch.stop_timer()
    if watch.dialog is not None:
        watch.expires_s = 0
        request, hop = _inside(watch)
        watch.context.layer.send_request(request, hop.flow, INDIFFERENT, now)
    watch.forget()


def _count(watch: PhoneWatch, outcome: str) -> None:
    watch.context.count("sip_subscriptions_total", trunk=str(watch.trunk.trunk.name), outcome=outcome)


MAX_KNOWN = 64
"""Dialogs of one phone, over many partial states."""

W = WatchState
Effect = Callable[[PhoneWatch, WatchEvent, float], None]

TRANSITIONS: Mapping[tuple[W, type[WatchEvent]], tuple[W, tuple[Effect, ...]]] = {
    (W.IDLE, Started): (W.SUBSCRIBING, (subscribe,)),
    (W.IDLE, AddressFound): (W.IDLE, ()),
    (W.IDLE, StopAsked): (W.STOPPED, ()),
    (W.SUBSCRIBING, Accepted): (W.SUBSCRIBED, (schedule_refresh,)),
    (W.SUBSCRIBING, Challenged): (W.SUBSCRIBING, (send_with_credentials,)),
    (W.SUBSCRIBING, TooBrief): (W.SUBSCRIBING, (lengthen, subscribe)),
    (W.SUBSCRIBING, Failed): (W.WAITING, (schedule_retry, note_failure)),
    (W.SUBSCRIBING, Told): (W.SUBSCRIBING, (take_state,)),
    (W.SUBSCRIBING, AddressFound): (W.SUBSCRIBING, ()),
    (W.SUBSCRIBING, StopAsked): (W.STOPPED, (unsubscribe,)),
    (W.SUBSCRIBED, AttemptDue): (W.REFRESHING, (refresh,)),
    (W.SUBSCRIBED, Failed): (W.WAITING, (schedule_retry, note_failure)),
    (W.SUBSCRIBED, Told): (W.SUBSCRIBED, (take_state,)),
    (W.SUBSCRIBED, AddressFound): (W.SUBSCRIBED, ()),
    (W.SUBSCRIBED, StopAsked): (W.STOPPED, (unsubscribe,)),
    (W.REFRESHING, Accepted): (W.SUBSCRIBED, (schedule_refresh,)),
    (W.REFRESHING, Challenged): (W.REFRESHING, (send_with_credentials,)),
    (W.REFRESHING, TooBrief): (W.REFRESHING, (lengthen, refresh)),
    (W.REFRESHING, Failed): (W.WAITING, (schedule_retry, note_failure)),
    (W.REFRESHING, Told): (W.REFRESHING, (take_state,)),
    (W.REFRESHING, AddressFound): (W.REFRESHING, ()),
    (W.REFRESHING, StopAsked): (W.STOPPED, (unsubscribe,)),
    (W.WAITING, AttemptDue): (W.SUBSCRIBING, (subscribe,)),
    (W.WAITING, AddressFound): (W.SUBSCRIBING, (stop_timer, subscribe)),
    (W.WAITING, StopAsked): (W.STOPPED, (stop_timer,)),
    (W.STOPPED, AddressFound): (W.STOPPED, ()),
}
