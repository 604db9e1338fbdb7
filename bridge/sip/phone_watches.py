"""All phones that are watched, and the NOTIFY requests that tell of them (RFC 6665 §4.1.3)."""

from dataclasses import dataclass, field

from bridge.sip.active_transaction import ActiveServer
from bridge.sip.context import Context
from bridge.sip.dialog import DialogId
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
        self.watches = [
            PhoneWatch(trunk=state, context=self.context, phone=phone, names=self.names)
            for state in self.context.trunks
            for phone in state.trunk.presence_of
        ]

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

    def start(self, now: float) -> None:
        """Subscribe to all of them."""
        for watch in self.watches:
            watch.handle(Started(), now)

    def found(self, trunk: TrunkState, now: float) -> None:
        """A trunk has an address at last."""
        for watch in self.watches:
            if watch.trunk is trunk:
                watch.handle(AddressFound(), now)

    def stop(self, now: float) -> None:
        """Watch no more."""
        for watch in self.watches:
            watch.handle(StopAsked(), now)
