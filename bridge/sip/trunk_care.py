"""What goes on with the trunks while nobody calls: they are registered with, pinged and asked, their phones watched."""

from collections.abc import Iterator

from bridge.sip.actions import Flow, Gauge, TrunkResolved
from bridge.sip.context import Context
from bridge.sip.keepalive import Keeper
from bridge.sip.phone_watches import PhoneWatches
from bridge.sip.probe import Watch
from bridge.sip.registration import Registration
from bridge.sip.renewal_events import AddressFound, Started
from bridge.sip.settings import TrunkAuth


class TrunkCare:
    """All that keeps the standing of the trunks known (RFC 3261 §10, §11), from `start` to `stop`."""

    def __init__(self, context: Context) -> None:
        self.phones = PhoneWatches(context=context)
        self._context = context
        self._registrations = tuple(self._make_registrations())
        self._keepers = tuple(self._make_keepers())
        self._watches = tuple(self._make_watches())

    @property
    def settled(self) -> bool:
        """After `stop`: no registration waits for its removal."""
        return all(item.settled for item in self._registrations)

    def leads_to(self, flow: Flow) -> bool:
        """Whether this is the way to a trunk, or the one that a registrar knows of: it has to stay open."""
        return any(state.leads_to(flow) for state in self._context.trunks) or any(
            registration.goes_by(flow) for registration in self._registrations
        )

    def start(self, now: float) -> None:
        """Register, subscribe, ping and ask."""
        for registration in self._registrations:
            registration.handle(Started(), now)
        self.phones.start(now)
        for keeper in self._keepers:
            keeper.start(now)
        for watch in self._watches:
            watch.start(now)
        for state in (state for state in self._context.trunks if not state.trunk.internal):
            gauge = Gauge(name="trunk_up", value=float(state.up), labels={"trunk": state.trunk.name})
            self._context.actions.append(gauge)

    def resolve(self, event: TrunkResolved, now: float) -> None:
        """The DNS has told where the servers of a trunk are."""
        state = self._context.trunks.get(event.trunk)
        if state is None:
            return
        was_known = bool(state.addresses)
        state.resolve(event.servers, now)
        for watch in self._watches:
            if watch.trunk is state:
                watch.follow(now)
        found = bool(state.addresses) and not was_known
        for registration in self._registrations:
            if found and registration.trunk is state and not registration.settled:
                registration.handle(AddressFound(), now)
        if found:
            self.phones.found(state, now)

    def lose_connection(self, flow: Flow, now: float) -> None:
        """What was registered over it has to be registered anew."""
        for registration in self._registrations:
            if registration.goes_by(flow):
                registration.lose_flow(now)

    def stop(self, now: float) -> None:
        """Take all registrations and subscriptions back, and ask no more."""
        self.phones.stop(now)
        for keeper in self._keepers:
            keeper.stop()
        for watch in self._watches:
            watch.stop()
        for registration in self._registrations:
            registration.stop(now)

    def _make_registrations(self) -> Iterator[Registration]:
        for state in self._context.trunks:
            if state.trunk.auth is TrunkAuth.REGISTER:
                call_id = self._context.entropy.token(24)
                expires_s = state.trunk.register_expires_s
                yield Registration(trunk=state, context=self._context, sip_call_id=call_id, expires_s=expires_s)

    def _make_keepers(self) -> Iterator[Keeper]:
        """For trunks without a registration, which has one of its own."""
        for state in self._context.trunks:
            if state.trunk.keep_alive_s > 0 and state.trunk.auth is not TrunkAuth.REGISTER:
                yield Keeper(trunk=state, context=self._context)

    def _make_watches(self) -> Iterator[Watch]:
        for state in self._context.trunks:
            if state.trunk.options_interval_s > 0:
                yield Watch(trunk=state, context=self._context)
