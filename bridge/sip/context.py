"""What the parts of the user agent share: trunks, transactions, timers, open dialogs, and the list of actions."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.core.addresses import is_numeric
from bridge.core.entropy import Entropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import Action, Count, Emit, Fault, Flow, Gauge, Note
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.call_backs import CallBacks
from bridge.sip.dialog import DialogId
from bridge.sip.errors import SipError
from bridge.sip.events import SipEvent
from bridge.sip.peers import Peers
from bridge.sip.requests import Fields
from bridge.sip.settings import SipSettings, Transport
from bridge.sip.timers import TimerHeap
from bridge.sip.transaction_layer import TransactionLayer
from bridge.sip.trunks import Directory, TrunkState
from bridge.sip.uri import SipUri

if TYPE_CHECKING:
    from bridge.sip.call_limits import CallLimits
    from bridge.sip.invite_usage import InviteUsage


@dataclass(slots=True, kw_only=True, eq=False)
class Context:
    """Handed to every usage instead of the whole user agent."""

    settings: SipSettings
    entropy: Entropy
    timers: TimerHeap[object]
    actions: list[Action]
    layer: TransactionLayer
    trunks: Directory
    peers: Peers
    usages: "dict[DialogKey, InviteUsage]" = field(default_factory=dict)
    dialogs: "dict[DialogId, InviteUsage]" = field(default_factory=dict)
    limits: "dict[TrunkName, CallLimits]" = field(default_factory=dict)
    call_backs: CallBacks = field(default_factory=CallBacks)

    def emit(self, event: SipEvent) -> None:
        """Tell the user of the endpoint."""
        self.actions.append(Emit(event=event))

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        self.actions.append(Count(name=name, labels=labels))

    def count_unexpected(self, machine: str, event: object) -> None:
        """Count an event for which the table of a state machine has no step."""
        self.count("sip_unexpected_events_total", machine=machine, event=type(event).__name__)

    def tag(self) -> str:
        """What tells our end of a dialog from all others (RFC 3261 §19.3)."""
        return self.entropy.token(12)

    def answer(self, server: ActiveServer, status: int, now: float, fields: Fields = ()) -> None:
        """Answer a request that makes no dialog."""
        response = server.request.response(status, to_tag=self.tag(), headers=fields)
        self.layer.respond(server, response, now)

    def note(self, event: str, *, warning: bool = False, **fields: object) -> None:
        """Write a line to the log."""
        self.actions.append(Note(event=event, warning=warning, fields=fields))

    def fault(self, event: str, error: Exception) -> None:
        """Report a fault of our own."""
        self.actions.append(Fault(event=event, error=error))

    def trunk_changed(self, state: TrunkState, *, was_up: bool) -> None:
        """Note that a trunk came up or went down; of one that is being left nobody wants to know."""
        if state.up is not was_up and self.trunks.get(state.trunk.name) is state:
            gauge = Gauge(name="trunk_up", value=float(state.up), labels={"trunk": str(state.trunk.name)})
            self.actions.append(gauge)
            self.note("trunk_came_up" if state.up else "trunk_went_down", warning=not state.up, trunk=state.trunk.name)

    def flow_to(self, uri: SipUri, state: TrunkState, *, like: Flow) -> Flow:
        """The way to a URI inside a dialog (RFC 3261 §8.1.2, RFC 3263 §4)."""
        transport = _transport(uri, like.transport)
        host = uri.destination
        port = uri.port or (transport.default_port if is_numeric(host) else 0)
        if host == state.trunk.host and state.addresses:
            near = like.address if like.address in state.addresses else state.addresses[0]
            host, port = near.host, uri.port or near.port
        return state.secured(Flow(transport=transport, host=host, port=port, listener=like.listener))


def _transport(uri: SipUri, used: Transport) -> Transport:
    """The transport of a URI; one that names none keeps what the dialog came by: peers on TCP leave it out.

    What began over TLS stays there, for the keys of the audio are in its messages, and so does what is `sips`, whose
    `transport` says what TLS is over (RFC 3261 §26.2.2, RFC 5630 §5.3).
    """
    try:
        named = Transport(uri.transport) if uri.transport else None
    except ValueError:
        raise SipError(416, "Unsupported Transport") from None
    if uri.scheme == "sips":
        named = None if named is Transport.TCP else named
    elif used is not Transport.TLS:
        return named or used
    if named not in (None, Transport.TLS):
        raise SipError(416, "Not over TLS")
    return Transport.TLS
