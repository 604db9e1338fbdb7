"""What goes on with one trunk while nobody calls: it is registered with, pinged and asked."""

from dataclasses import dataclass, field

from bridge.sip.actions import Flow, Gauge
from bridge.sip.context import Context
from bridge.sip.keepalive import Keeper
from bridge.sip.probe import Watch
from bridge.sip.registration import Registration
from bridge.sip.registration_events import RegistrationState
from bridge.sip.renewal_events import AddressFound, Started
from bridge.sip.settings import Trunk, TrunkAuth
from bridge.sip.targets import Server
from bridge.sip.trunks import TrunkState


@dataclass(slots=True, kw_only=True, eq=False)
class Upkeep:
    """All that keeps the standing of a trunk known (RFC 3261 §10, §11), from `start` to `stop`."""

    state: TrunkState
    context: Context
    registration: Registration | None = field(init=False, default=None)
    keeper: Keeper | None = field(init=False, default=None)
    """For a trunk without a registration, which has one of its own."""
    watch: Watch | None = field(init=False, default=None)
    started: bool = False

    def __post_init__(self) -> None:
        state, context, trunk = self.state, self.context, self.state.trunk
        if trunk.auth is TrunkAuth.REGISTER:
            call_id, expires_s = context.entropy.token(24), trunk.register_expires_s
            self.registration = Registration(trunk=state, context=context, sip_call_id=call_id, expires_s=expires_s)
        elif trunk.keep_alive_s > 0:
            self.keeper = Keeper(trunk=state, context=context)
        if trunk.options_interval_s > 0:
            self.watch = Watch(trunk=state, context=context)

    @property
    def settled(self) -> bool:
        """Whether no registration waits for its answer."""
        return self.registration is None or self.registration.settled

    def leads_to(self, flow: Flow) -> bool:
        """Whether this is the way to the trunk, or the one that its registrar knows of."""
        return self.state.made(flow) or (self.registration is not None and self.registration.goes_by(flow))

    def start(self, now: float) -> None:
        """Register, ping and ask."""
        self.started = True
        if self.registration is not None:
            self.registration.handle(Started(), now)
        if self.keeper is not None:
            self.keeper.start(now)
        if self.watch is not None:
            self.watch.start(now)
        if not self.state.trunk.internal:
            labels = {"trunk": str(self.state.trunk.name)}
            self.context.actions.append(Gauge(name="trunk_up", value=float(self.state.up), labels=labels))

    def resolve(self, servers: tuple[Server, ...], now: float) -> bool:
        """The DNS has told where the servers are; gives whether that was not known before."""
        was_known = bool(self.state.addresses)
        self.state.resolve(servers, now)
        if self.watch is not None:
            self.watch.follow(now)
        found = bool(self.state.addresses) and not was_known
        if found and self.registration is not None and not self.registration.settled:
            self.registration.handle(AddressFound(), now)
        return found

    def take_binding(self, before: "Upkeep") -> None:
        """Register the contact of another one, which may be bound yet."""
        self.state.line = before.state.line
        if self.registration is not None and before.registration is not None:
            self.registration.bound_until = before.registration.bound_until

    def follow(self, trunk: Trunk, now: float) -> None:
        """Go by other settings of the same trunk. Whoever changes them wants a refused registration tried once more."""
        self.state.follow(trunk)
        if self.registration is not None and self.registration.state is RegistrationState.REFUSED:
            self.registration.handle(Started(), now)

    def lose_connection(self, flow: Flow, now: float) -> None:
        """What was registered over it has to be registered anew."""
        if self.registration is not None and self.registration.goes_by(flow):
            self.registration.lose_flow(now)

    def stop(self, now: float, *, keep_binding: bool = False) -> None:
        """Ask no more, and take the registration back unless another one takes its place."""
        if self.keeper is not None:
            self.keeper.stop()
        if self.watch is not None:
            self.watch.stop()
        if self.registration is None:
            return
        if keep_binding:
            self.registration.leave(now)
        else:
            self.registration.stop(now)
