"""All phones that are watched, and the NOTIFY requests that tell of them (RFC 6665 §4.1.3)."""

from dataclasses import dataclass, field

from bridge.sip.active_transaction import ActiveServer
from bridge.sip.context import Context
from bridge.sip.dialog import DialogId
from bridge.sip.dialog_info import PhoneState
from bridge.sip.errors import SipError
from bridge.sip.phone_watch import PhoneWatch, WatchName
from bridge.sip.renewal_events import AddressFound, Started, StopAsked
from bridge.sip.trunks import TrunkState


@dataclass(slots=True, kw_only=True, eq=False)
class PhoneWatches:
    """One watch for each phone that a trunk's settings name."""

    context: Context
    watches: list[PhoneWatch] = field(default_factory=list)
    names: dict[WatchName, PhoneWatch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for state in self.context.trunks:
            self.add(state)

    def add(self, trunk: TrunkState) -> None:
        """Know of a trunk's phones."""
        for phone in trunk.trunk.presence_of:
            self.watches.append(PhoneWatch(trunk=trunk, context=self.context, phone=phone, names=self.names))

    def __contains__(self, name: DialogId) -> bool:
        """Whether a request is for a subscription of ours."""
        return name[:2] in self.names

    def take_notify(self, name: DialogId, server: ActiveServer, now: float) -> None:
        """A NOTIFY of the package `dialog`."""
        watch = self.names.get(name[:2])
        if watch is None or not watch.trunk.sends_from(server.source.host):
            raise SipError(481, "Subscription Does Not Exist")
        watch.take_notify(server.request, now)
        self.context.layer.respond(server, server.request.response(200), now)

    def start(self, trunk: TrunkState, now: float) -> None:
        """Subscribe to all of a trunk's."""
        for watch in self._of(trunk):
            watch.handle(Started(), now)

    def found(self, trunk: TrunkState, now: float) -> None:
        """A trunk has an address at last."""
        for watch in self._of(trunk):
            watch.handle(AddressFound(), now)

    def stop(self, trunk: TrunkState, now: float) -> None:
        """Watch a trunk's no more."""
        for watch in self._of(trunk):
            watch.handle(StopAsked(), now)

    def leave(self, trunk: TrunkState, now: float) -> None:
        """The same for one that the bridge goes on without: what its phones do is not known from now on."""
        self.stop(trunk, now)
        for watch in self._of(trunk):
            watch.show(PhoneState.UNKNOWN)

    def forget(self, trunk: TrunkState) -> None:
        """Know of its phones no more; when they are `settled`."""
        self.watches = [watch for watch in self.watches if watch.trunk is not trunk]

    def settled(self, trunk: TrunkState) -> bool:
        """After `stop`: no subscription of its waits for its removal."""
        return all(watch.settled for watch in self._of(trunk))

    def _of(self, trunk: TrunkState) -> list[PhoneWatch]:
        return [watch for watch in self.watches if watch.trunk is trunk]
