"""Watching a phone of a PBX: a subscription to its dialogs, kept up (RFC 6665 §4.1, RFC 4235)."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.sip.active_transaction import ActiveClient
from bridge.sip.dialog import Dialog
from bridge.sip.dialog_info import CONTENT_TYPE, DialogInfo, PhoneState, phone_state, read_dialog_info
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import PhoneStateChanged
from bridge.sip.failover import Hop, hops_of
from bridge.sip.fields import NameAddr
from bridge.sip.grammar import BLANKS, parse_params
from bridge.sip.message import Request, Response
from bridge.sip.number_forms import written_called
from bridge.sip.renewal import (
    MAX_EXPIRES_S,
    REFRESH_SHARE,
    Renewal,
    lengthen,
    send_with_credentials,
    stop_timer,
    try_no_other,
)
from bridge.sip.renewal_events import AddressFound, AttemptDue, Challenged, Failed, Started, StopAsked, TooBrief
from bridge.sip.requests import new_request

EVENT_PACKAGE = "dialog"
EXPIRES_S = 3600
MIN_EXPIRES_S = 30
"""A PBX that grants less has not let us in: keeping up with it would be a flood."""
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
    ENDING = enum.auto()
    """Not wanted any more, and the answer to the first request has yet to say what there is to take back."""
    UNSUBSCRIBING = enum.auto()
    STOPPED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """2xx."""

    expires_s: int
    dialog: Dialog | None
    """`None` for a refresh, which makes no new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A NOTIFY; without a document it says only that the subscription lives."""

    info: DialogInfo | None


WatchEvent = Started | Accepted | Challenged | TooBrief | Failed | Told | AttemptDue | AddressFound | StopAsked


@dataclass(slots=True, kw_only=True, eq=False)
class PhoneWatch(Renewal):
    """One phone, by the name that calls to it have."""

    phone: str
    names: "dict[WatchName, PhoneWatch]"
    """Shared by all watches: where NOTIFY requests find theirs."""
    state: WatchState = WatchState.IDLE
    name: WatchName = ("", "")
    expires_s: int = EXPIRES_S
    dialog: Dialog | None = None
    notify_cseq: int = -1
    version: int = -1
    dialogs: dict[str, str] = field(default_factory=dict)
    seen: PhoneState = PhoneState.UNKNOWN

    def handle(self, event: WatchEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            self.context.count_unexpected("phone_watch", event)
            return False
        self.state, effects = row
        for effect in effects:
            effect(self, event, now)
        return True

    @property
    def settled(self) -> bool:
        """Whether nothing of this subscription is on its way any more."""
        return self.state in (WatchState.STOPPED, WatchState.IDLE)

    def answered(self, client: ActiveClient, response: Response, now: float) -> None:
        """The answer of the PBX."""
        self.handle(self._event_of(client, response), now)

    def _event_of(self, client: ActiveClient, response: Response) -> WatchEvent:
        status = response.status
        if status < 300:
            return self._success(client, response)
        asked = self.asked_again(client, response)
        if asked is not None:
            return asked
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
    hops = hops_of(trunk, context.entropy, now)
    request = _first_request(watch, hops[0]) if hops else None
    if request is None:
        watch.handle(Failed(status=503), now)
        return
    watch.send(request, hops, now)


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
    watch.send(request, [hop], now)


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
    """At once where the PBX wants a new subscription, if that has not just been tried; else ever later."""
    watch.forget()
    match event:
        case Failed(soon=True) if not watch.failures:
            watch.failures = 1
            watch.wait(watch.context.entropy.uniform(*SOON_S), now)
        case Failed(retry_after_s=retry_after_s):
            watch.wait_after_failure(retry_after_s, now)


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


def unsubscribe(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """Have the PBX send no more (RFC 6665 §4.1.2.3)."""
    match event:
        case Accepted(dialog=dialog):
            watch.dialog = dialog or watch.dialog
    watch.expires_s = 0
    refresh(watch, event, now)


def forget(watch: PhoneWatch, event: WatchEvent, now: float) -> None:
    """It is over; what a PBX sends all the same is answered with 481, which ends it there as well (§4.1.3)."""
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
    (W.SUBSCRIBING, StopAsked): (W.ENDING, (try_no_other,)),
    (W.SUBSCRIBED, AttemptDue): (W.REFRESHING, (refresh,)),
    (W.SUBSCRIBED, Failed): (W.WAITING, (schedule_retry, note_failure)),
    (W.SUBSCRIBED, Told): (W.SUBSCRIBED, (take_state,)),
    (W.SUBSCRIBED, AddressFound): (W.SUBSCRIBED, ()),
    (W.SUBSCRIBED, StopAsked): (W.UNSUBSCRIBING, (stop_timer, unsubscribe)),
    (W.REFRESHING, Accepted): (W.SUBSCRIBED, (schedule_refresh,)),
    (W.REFRESHING, Challenged): (W.REFRESHING, (send_with_credentials,)),
    (W.REFRESHING, TooBrief): (W.REFRESHING, (lengthen, refresh)),
    (W.REFRESHING, Failed): (W.WAITING, (schedule_retry, note_failure)),
    (W.REFRESHING, Told): (W.REFRESHING, (take_state,)),
    (W.REFRESHING, AddressFound): (W.REFRESHING, ()),
    (W.REFRESHING, StopAsked): (W.UNSUBSCRIBING, (stop_timer, unsubscribe)),
    (W.WAITING, AttemptDue): (W.SUBSCRIBING, (subscribe,)),
    (W.WAITING, AddressFound): (W.SUBSCRIBING, (stop_timer, subscribe)),
    (W.WAITING, StopAsked): (W.STOPPED, (stop_timer,)),
    (W.ENDING, Accepted): (W.UNSUBSCRIBING, (unsubscribe,)),
    (W.ENDING, Challenged): (W.STOPPED, (forget,)),
    (W.ENDING, TooBrief): (W.STOPPED, (forget,)),
    (W.ENDING, Failed): (W.STOPPED, (forget,)),
    (W.ENDING, Told): (W.ENDING, ()),
    (W.ENDING, AddressFound): (W.ENDING, ()),
    (W.UNSUBSCRIBING, Accepted): (W.STOPPED, (forget,)),
    (W.UNSUBSCRIBING, Challenged): (W.UNSUBSCRIBING, (send_with_credentials,)),
    (W.UNSUBSCRIBING, TooBrief): (W.STOPPED, (forget,)),
    (W.UNSUBSCRIBING, Failed): (W.STOPPED, (forget,)),
    (W.UNSUBSCRIBING, Told): (W.UNSUBSCRIBING, ()),
    (W.UNSUBSCRIBING, AddressFound): (W.UNSUBSCRIBING, ()),
    (W.STOPPED, AddressFound): (W.STOPPED, ()),
}
