"""Keeping a contact registered at a trunk (RFC 3261 §10.2), with recovery as in RFC 5626 §4.5."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.sip.actions import Flow, Gauge
from bridge.sip.context import Context
from bridge.sip.credentials import Attempts
from bridge.sip.failover import Hunt, hops_of
from bridge.sip.keepalive import Keeper
from bridge.sip.message import Request, Response
from bridge.sip.register import (
    MAX_EXPIRES_S,
    associated_users,
    granted_s,
    min_expires_s,
    new_register,
    service_route,
)
from bridge.sip.registration_events import (
    AddressFound,
    AttemptDue,
    Challenged,
    Failed,
    FlowClosed,
    FlowLost,
    Granted,
    LeaveAsked,
    OutboundRefused,
    Refused,
    RefusedForGood,
    RegistrationEvent,
    RegistrationState,
    Started,
    StopAsked,
    TooBrief,
)
from bridge.sip.requests import repeated
from bridge.sip.timers import Timer
from bridge.sip.transaction_layer import ActiveClient
from bridge.sip.trunks import TrunkState

RETRY_BASE_S = 30.0
RETRY_MAX_S = 1800.0
"""RFC 5626 §4.5."""

FLOW_RETRY_S = 1.0
"""After a lost connection the first attempt comes at once: the registrar is most likely there."""

SHORT_LIVED_S = 120.0
"""A connection that ends sooner after a registration was closed rather than lost: some servers keep none."""

MAX_REFUSALS = 3
"""A registrar that says no for the third time means it; going on would lock the account."""

REFRESH_SHARE = (0.5, 0.9)
"""When a binding is refreshed, as a share of what was granted: spread out, so that not all come back at once."""

MIN_REFRESH_S = 30.0
"""A binding is not refreshed more often, unless it ends sooner."""

MIN_GRANT_S = 10
"""A registrar that grants less, or nothing, has not let us in: keeping up with it would be a flood."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegistrationTimer:
    """The next attempt is due."""

    registration: "Registration"


@dataclass(slots=True, kw_only=True, eq=False)
class Registration:
    """The registration of one trunk."""

    trunk: TrunkState
    context: Context
    state: RegistrationState = RegistrationState.IDLE
    sip_call_id: str
    """The same for the life of the process, so that the registrar can order our requests (§10.2.4)."""
    cseq: int = 0
    expires_s: int = 600
    failures: int = 0
    refusals: int = 0
    brief: int = 0
    closings: int = 0
    """Connections in a row that did not last."""
    granted_at: float = 0.0
    bound_until: float = 0.0
    """When the registrar has forgotten us at the latest."""
    attempts: Attempts = field(default_factory=Attempts)
    current: ActiveClient | None = None
    hunt: Hunt | None = None
    timer: "Timer[object] | None" = None
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Keeper(trunk=self.trunk, context=self.context)

    def handle(self, event: RegistrationEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            labels = {"machine": "registration", "event": type(event).__name__}
            self.context.count("sip_unexpected_events_total", **labels)
            return False
        was_up = self.trunk.up
        self.state, effects = row
        for effect in effects:
            effect(self, event, now)
        self.trunk.registered = self._has_binding()
        self.context.trunk_changed(self.trunk, was_up=was_up)
        return True

    @property
    def settled(self) -> bool:
        """Whether nothing of this registration is on its way any more."""
        return self.state in (RegistrationState.STOPPED, RegistrationState.IDLE)

    def goes_by(self, flow: Flow) -> bool:
        """Whether this is the connection that the newest request went by, and by which the registrar reaches us."""
        if self.current is None:
            return False
        used = self.current.flow
        return (used.transport, used.address) == (flow.transport, flow.address)

    def lose_flow(self, now: float) -> None:
        """The connection is gone. To open another one at once, again and again, would be a flood (RFC 5626 §4.5)."""
        self.closings = self.closings + 1 if now - self.granted_at < SHORT_LIVED_S else 0
        closed = self.closings > 1 and self.state is RegistrationState.REGISTERED
        self.handle(FlowClosed() if closed else FlowLost(), now)

    def stop(self, now: float) -> None:
        """Take the contact back, if one may be there."""
        self.keeper.stop()
        left = self.state is RegistrationState.WAITING and now >= self.bound_until
        self.handle(LeaveAsked() if left else StopAsked(), now)

    def _has_binding(self) -> bool:
        """A refresh that is under way does not make the trunk unusable; one that failed does."""
        if self.state is RegistrationState.REGISTERING:
            return self.trunk.registered
        return self.state is RegistrationState.REGISTERED

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """The registrar's answer."""
        if client is self.current and response.status >= 200:
            self.handle(self._event_of(client, response), now)

    def moved(self, client: ActiveClient, now: float) -> None:
        """The request goes on at another registrar, which has not asked for anything yet."""
        self.current = client
        self.cseq = client.request.cseq.number
        self.attempts = Attempts()

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the registrar."""
        if client is not self.current:
            return
        if status == 408:
            self.bound_until = max(self.bound_until, now + self.expires_s)  # It may be the answer that was lost.
        self.handle(Failed(status=status), now)

    def fire(self, now: float) -> None:
        """The next attempt is due."""
        self.timer = None
        self.handle(AttemptDue(), now)

    def _event_of(self, client: ActiveClient, response: Response) -> RegistrationEvent:
        status = response.status
        if status < 300:
            return self._success(client, response)
        if status in (401, 407):
            credentials = self.trunk.credentials_for(client, response, self.attempts)
            if credentials:
                return Challenged(credentials=tuple(credentials))
        if status in (401, 403, 407):
            return RefusedForGood(status=status) if self.refusals + 1 >= MAX_REFUSALS else Refused(status=status)
        if status == 423 and not self.brief:
            return TooBrief(min_expires_s=min_expires_s(response))
        if status == 439 and self.trunk.instance:
            return OutboundRefused()
        return Failed(status=status, retry_after_s=float(response.retry_after or 0))

    def _success(self, client: ActiveClient, response: Response) -> RegistrationEvent:
        """A 2xx that grants nothing is none, except to a removal."""
        granted = granted_s(response, client.request, self.expires_s)
        if granted < MIN_GRANT_S and self.state is RegistrationState.REGISTERING:
            return Failed(status=response.status)
        return Granted(expires_s=granted, response=response)


# What is done on the steps.


def send(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Register, or refresh."""
    _register(registration, registration.expires_s, now)


def send_with_credentials(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """The same again, with the digest (§22.2)."""
    match event:
        case Challenged(credentials=credentials) if registration.current and registration.hunt:
            registration.cseq += 1
            again = repeated(registration.current.request, cseq=registration.cseq, credentials=credentials)
            registration.current = registration.hunt.repeat(again, now)


def send_removal(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Take our contact back (§10.2.2)."""
    _register(registration, 0, now)


def lengthen(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Ask for as long as the registrar wants (§10.2.8)."""
    match event:
        case TooBrief(min_expires_s=min_expires_s):
            registration.brief += 1
            registration.expires_s = max(registration.expires_s, min(min_expires_s, MAX_EXPIRES_S))


def schedule_refresh(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Well before the binding ends."""
    match event:
        case Granted(expires_s=expires_s):
            registration.failures = registration.refusals = registration.brief = 0
            share = registration.context.entropy.uniform(*REFRESH_SHARE)
            _set_timer(registration, now + max(expires_s * share, min(MIN_REFRESH_S, expires_s * REFRESH_SHARE[1])))
            registration.granted_at, registration.bound_until = now, now + expires_s
            if registration.current is not None:
                registration.trunk.settle_at(registration.current.flow)
            labels = {"trunk": str(registration.trunk.trunk.name)}
            gauge = Gauge(
                name="registration_expires_timestamp_seconds",
                value=registration.bound_until,
                labels=labels,
                is_moment=True,
            )
            registration.context.actions.append(gauge)


def take_routes(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Remember how the registrar wants to be reached, and what it calls us (RFC 3608 §6.1, RFC 7315 §4.1)."""
    match event:
        case Granted(response=response):
            registration.trunk.service_route = service_route(response)
            registration.trunk.associated = associated_users(response, registration.trunk)


def forgo_outbound(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Register as RFC 3261 has it, for as long as the process lives."""
    registration.trunk.instance = ""


def keep_open(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Have the registrar's requests find their way to us until the next refresh (RFC 5626 §4.4)."""
    match event:
        case Granted(response=response) if registration.current is not None:
            registration.keeper.follow(registration.current.flow, response, now)


def schedule_retry(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Wait twice as long after each failure, up to half an hour, and never in step with others (RFC 5626 §4.5)."""
    registration.failures += 1
    registration.brief = 0
    if isinstance(event, Refused):
        registration.refusals += 1
    limit_s = min(RETRY_MAX_S, RETRY_BASE_S * 2 ** min(registration.failures - 1, 16))
    wait_s = registration.context.entropy.uniform(0.5, 1.0) * limit_s
    if isinstance(event, Failed):
        wait_s = max(wait_s, min(event.retry_after_s, RETRY_MAX_S))
    _set_timer(registration, now + wait_s)


def schedule_soon(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Open a new flow."""
    _set_timer(registration, now + FLOW_RETRY_S)


def schedule_later(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Open a new flow after twice the time, and the contact counts meanwhile; but not later than the refresh is due."""
    deadline = now + FLOW_RETRY_S * 2.0 ** min(registration.closings, 16)
    if registration.timer is None or deadline < registration.timer.deadline:
        _set_timer(registration, deadline)


def stop_timer(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """No further attempts."""
    if registration.timer is not None:
        registration.context.timers.cancel(registration.timer)
        registration.timer = None


def count(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Count how an attempt ended, and say so when it did not succeed."""
    outcome = type(event).__name__.lower().removesuffix("forgood")
    name = registration.trunk.trunk.name
    registration.context.count("registrations_total", trunk=name, outcome=outcome)
    if isinstance(event, Failed | Refused | RefusedForGood):
        registration.context.note("registration_failed", warning=True, trunk=name, sip_status=event.status)


def _set_timer(registration: Registration, deadline: float) -> None:
    if registration.timer is not None:
        registration.context.timers.cancel(registration.timer)
    registration.timer = registration.context.timers.schedule(deadline, RegistrationTimer(registration=registration))


def _register(registration: Registration, expires_s: int, now: float) -> None:
    context, trunk = registration.context, registration.trunk
    hops = hops_of(trunk, context.entropy, now)
    registration.attempts = Attempts()
    registration.current = None
    if not hops:
        registration.handle(Failed(status=503), now)
        return
    registration.hunt = Hunt.through(hops, context=context, trunk=trunk, user=registration)
    registration.current = registration.hunt.start(_request(registration, hops[0].flow, expires_s), now)


def _request(registration: Registration, flow: Flow, expires_s: int) -> Request:
    registration.cseq += 1
    context = registration.context
    return new_register(
        registration.trunk,
        registration.trunk.contact(context.layer.local_address(flow)),
        expires_s=expires_s,
        cseq=registration.cseq,
        tag=context.entropy.token(12),
        sip_call_id=registration.sip_call_id,
        user_agent=context.settings.user_agent,
    )


R = RegistrationState
Effect = Callable[[Registration, RegistrationEvent, float], None]

TRANSITIONS: Mapping[tuple[R, type[RegistrationEvent]], tuple[R, tuple[Effect, ...]]] = {
    (R.IDLE, Started): (R.REGISTERING, (send,)),
    (R.IDLE, StopAsked): (R.STOPPED, ()),
    (R.REGISTERING, Granted): (R.REGISTERED, (schedule_refresh, take_routes, keep_open, count)),
    (R.REGISTERING, Challenged): (R.REGISTERING, (send_with_credentials,)),
    (R.REGISTERING, TooBrief): (R.REGISTERING, (lengthen, send)),
    (R.REGISTERING, OutboundRefused): (R.REGISTERING, (forgo_outbound, send)),
    (R.REGISTERING, Refused): (R.WAITING, (schedule_retry, count)),
    (R.REGISTERING, RefusedForGood): (R.REFUSED, (count,)),
    (R.REGISTERING, Failed): (R.WAITING, (schedule_retry, count)),
    (R.REGISTERING, AddressFound): (R.REGISTERING, ()),
    (R.REGISTERING, FlowLost): (R.REGISTERING, ()),
    (R.REGISTERING, StopAsked): (R.UNREGISTERING, (stop_timer, send_removal)),
    (R.REGISTERED, AttemptDue): (R.REGISTERING, (send,)),
    (R.REGISTERED, AddressFound): (R.REGISTERED, ()),
    (R.REGISTERED, FlowLost): (R.WAITING, (schedule_soon,)),
    (R.REGISTERED, FlowClosed): (R.REGISTERED, (schedule_later,)),
    (R.REGISTERED, StopAsked): (R.UNREGISTERING, (stop_timer, send_removal)),
    (R.WAITING, AttemptDue): (R.REGISTERING, (send,)),
    (R.WAITING, AddressFound): (R.REGISTERING, (stop_timer, send)),
    (R.WAITING, FlowLost): (R.WAITING, ()),
    (R.WAITING, StopAsked): (R.UNREGISTERING, (stop_timer, send_removal)),
    (R.WAITING, LeaveAsked): (R.STOPPED, (stop_timer,)),
    (R.REFUSED, AddressFound): (R.REFUSED, ()),
    (R.REFUSED, FlowLost): (R.REFUSED, ()),
    (R.REFUSED, StopAsked): (R.STOPPED, ()),
    (R.UNREGISTERING, Challenged): (R.UNREGISTERING, (send_with_credentials,)),
    (R.UNREGISTERING, Granted): (R.STOPPED, ()),
    (R.UNREGISTERING, Failed): (R.STOPPED, ()),
    (R.UNREGISTERING, Refused): (R.STOPPED, ()),
    (R.UNREGISTERING, RefusedForGood): (R.STOPPED, ()),
    (R.UNREGISTERING, TooBrief): (R.STOPPED, ()),
    (R.UNREGISTERING, OutboundRefused): (R.STOPPED, ()),
    (R.UNREGISTERING, AddressFound): (R.UNREGISTERING, ()),
    (R.UNREGISTERING, FlowLost): (R.UNREGISTERING, ()),
    (R.STOPPED, FlowLost): (R.STOPPED, ()),
    (R.STOPPED, AddressFound): (R.STOPPED, ()),
}
