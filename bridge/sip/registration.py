"""Keeping a contact registered at a trunk (RFC 3261 §10.2), with recovery as in RFC 5626 §4.5."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.sip.actions import Flow, Gauge
from bridge.sip.active_transaction import ActiveClient
from bridge.sip.failover import hops_of
from bridge.sip.keepalive import Keeper
from bridge.sip.message import Request, Response
from bridge.sip.register import associated_users, granted_s, new_register, service_route
from bridge.sip.registration_events import (
    FlowClosed,
    FlowLost,
    Granted,
    LeaveAsked,
    OutboundRefused,
    Refused,
    RefusedForGood,
    RegistrationEvent,
    RegistrationState,
)
from bridge.sip.renewal import REFRESH_SHARE, Renewal, lengthen, send_with_credentials, stop_timer, try_no_other
from bridge.sip.renewal_events import AddressFound, AttemptDue, Challenged, Failed, Started, StopAsked, TooBrief

FLOW_RETRY_S = 1.0
"""After a lost connection the first attempt comes at once: the registrar is most likely there."""

SHORT_LIVED_S = 120.0
"""A connection that ends sooner after a registration was closed rather than lost: some servers keep none."""

MAX_REFUSALS = 3
"""A registrar that says no for the third time means it; going on would lock the account."""

MIN_REFRESH_S = 30.0
"""A binding is not refreshed more often, unless it ends sooner."""

MIN_GRANT_S = 10
"""A registrar that grants less, or nothing, has not let us in: keeping up with it would be a flood."""

_CREDENTIALS = "are username, password, realm and domain the provider's?"
_REMEDIES = {
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: "are username (or register_user) and domain the provider's?",
    407: _CREDENTIALS,
}
"""What an admin can do, by what the registrar says."""


@dataclass(slots=True, kw_only=True, eq=False)
class Registration(Renewal):
    """The registration of one trunk."""

    state: RegistrationState = RegistrationState.IDLE
    sip_call_id: str
    """The same for the life of the process, so that the registrar can order our requests (§10.2.4)."""
    refusals: int = 0
    closings: int = 0
    """Connections in a row that did not last."""
    granted_at: float = 0.0
    bound_until: float = 0.0
    """When the registrar has forgotten us at the latest."""
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Keeper(trunk=self.trunk, context=self.context)

    def handle(self, event: RegistrationEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            self.context.count_unexpected("registration", event)
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
        used = self.current.flow.connection if self.current is not None else 0
        return used != 0 and used == flow.connection

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

    def leave(self, now: float) -> None:
        """Let the contact to another registration, which takes its place."""
        self.keeper.stop()
        if self.hunt is not None:
            self.hunt.settle()
        self.current = self.hunt = None
        self.handle(LeaveAsked(), now)

    def _has_binding(self) -> bool:
        """A refresh that is under way does not make the trunk unusable; one that failed does."""
        if self.state is RegistrationState.REGISTERING:
            return self.trunk.registered
        return self.state is RegistrationState.REGISTERED

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the registrar. It may be the answer that was lost."""
        if client is self.current and status == 408:
            self.bound_until = max(self.bound_until, now + self.expires_s)
        Renewal.request_failed(self, client, status, now)

    def answered(self, client: ActiveClient, response: Response, now: float) -> None:
        """The registrar's answer."""
        self.handle(self._event_of(client, response), now)

    def _event_of(self, client: ActiveClient, response: Response) -> RegistrationEvent:
        status = response.status
        if status < 300:
            return self._success(client, response)
        asked = self.asked_again(client, response)
        if asked is not None:
            return asked
        if status in (401, 403, 407):
            return RefusedForGood(status=status) if self.refusals + 1 >= MAX_REFUSALS else Refused(status=status)
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


def send_removal(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Take our contact back (§10.2.2)."""
    _register(registration, 0, now)


def schedule_refresh(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Well before the binding ends."""
    match event:
        case Granted(expires_s=expires_s):
            registration.failures = registration.refusals = 0
            registration.brief = False
            share = registration.context.entropy.uniform(*REFRESH_SHARE)
            registration.wait(max(expires_s * share, min(MIN_REFRESH_S, expires_s * REFRESH_SHARE[1])), now)
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
    """Ask again later, as if for the first time."""
    registration.brief = False
    if isinstance(event, Refused):
        registration.refusals += 1
    registration.wait_after_failure(event.retry_after_s if isinstance(event, Failed) else 0.0, now)


def schedule_soon(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Open a new flow."""
    registration.wait(FLOW_RETRY_S, now)


def schedule_later(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Open a new flow after twice the time, and the contact counts meanwhile; but not later than the refresh is due."""
    wait_s = FLOW_RETRY_S * 2.0 ** min(registration.closings, 16)
    if registration.timer is None or now + wait_s < registration.timer.deadline:
        registration.wait(wait_s, now)


def count(registration: Registration, event: RegistrationEvent, now: float) -> None:
    """Count how an attempt ended, and say so when it did not succeed."""
    outcome = type(event).__name__.lower().removesuffix("forgood")
    name = registration.trunk.trunk.name
    registration.context.count("registrations_total", trunk=name, outcome=outcome)
    if isinstance(event, Failed | Refused | RefusedForGood):
        remedy = _REMEDIES.get(event.status, "trunkline doctor says more")
        status = event.status
        registration.context.note("registration_failed", warning=True, trunk=name, sip_status=status, remedy=remedy)


def _register(registration: Registration, expires_s: int, now: float) -> None:
    context, trunk = registration.context, registration.trunk
    hops = hops_of(trunk, context.entropy, now)
    registration.current = None
    if not hops:
        registration.handle(Failed(status=503), now)
        return
    registration.send(_request(registration, hops[0].flow, expires_s), hops, now)


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
    (R.IDLE, LeaveAsked): (R.STOPPED, ()),
    (R.REGISTERING, Granted): (R.REGISTERED, (schedule_refresh, take_routes, keep_open, count)),
    (R.REGISTERING, Challenged): (R.REGISTERING, (send_with_credentials,)),
    (R.REGISTERING, TooBrief): (R.REGISTERING, (lengthen, send)),
    (R.REGISTERING, OutboundRefused): (R.REGISTERING, (forgo_outbound, send)),
    (R.REGISTERING, Refused): (R.WAITING, (schedule_retry, count)),
    (R.REGISTERING, RefusedForGood): (R.REFUSED, (count,)),
    (R.REGISTERING, Failed): (R.WAITING, (schedule_retry, count)),
    (R.REGISTERING, AddressFound): (R.REGISTERING, ()),
    (R.REGISTERING, FlowLost): (R.REGISTERING, ()),
    (R.REGISTERING, StopAsked): (R.ENDING, (stop_timer, try_no_other)),
    (R.REGISTERING, LeaveAsked): (R.STOPPED, (stop_timer,)),
    (R.REGISTERED, AttemptDue): (R.REGISTERING, (send,)),
    (R.REGISTERED, AddressFound): (R.REGISTERED, ()),
    (R.REGISTERED, FlowLost): (R.WAITING, (schedule_soon,)),
    (R.REGISTERED, FlowClosed): (R.REGISTERED, (schedule_later,)),
    (R.REGISTERED, StopAsked): (R.UNREGISTERING, (stop_timer, send_removal)),
    (R.REGISTERED, LeaveAsked): (R.STOPPED, (stop_timer,)),
    (R.WAITING, AttemptDue): (R.REGISTERING, (send,)),
    (R.WAITING, AddressFound): (R.REGISTERING, (stop_timer, send)),
    (R.WAITING, FlowLost): (R.WAITING, ()),
    (R.WAITING, StopAsked): (R.UNREGISTERING, (stop_timer, send_removal)),
    (R.WAITING, LeaveAsked): (R.STOPPED, (stop_timer,)),
    (R.REFUSED, Started): (R.REGISTERING, (send,)),
    (R.REFUSED, AddressFound): (R.REFUSED, ()),
    (R.REFUSED, FlowLost): (R.REFUSED, ()),
    (R.REFUSED, StopAsked): (R.STOPPED, ()),
    (R.REFUSED, LeaveAsked): (R.STOPPED, ()),
    (R.ENDING, Granted): (R.UNREGISTERING, (send_removal,)),
    (R.ENDING, Challenged): (R.UNREGISTERING, (send_removal,)),
    (R.ENDING, TooBrief): (R.UNREGISTERING, (send_removal,)),
    (R.ENDING, OutboundRefused): (R.UNREGISTERING, (send_removal,)),
    (R.ENDING, Failed): (R.UNREGISTERING, (send_removal,)),
    (R.ENDING, Refused): (R.STOPPED, ()),
    (R.ENDING, RefusedForGood): (R.STOPPED, ()),
    (R.ENDING, AddressFound): (R.ENDING, ()),
    (R.ENDING, FlowLost): (R.ENDING, ()),
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
