"""Two user agents on an emulated wire with a clock of their own: each message can be lost, doubled or delayed."""

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import (
    Count,
    Emit,
    Fault,
    Flow,
    LocalAddress,
    Note,
    Received,
    Send,
    TimeElapsed,
    TrunkResolved,
    Unreachable,
)
from bridge.sip.events import CallMoved, IncomingCall, OutgoingCall, SipEvent
from bridge.sip.inputs import DialogCommand, Input, PlaceCall, Start, Steer
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk
from bridge.sip.targets import Server, Target
from bridge.sip.user_agent import UserAgent
from tests.sip.declared import is_declared

TRUNK = TrunkName("trunk")
LATENCY_S = 0.01
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@dataclass(slots=True, kw_only=True)
class Sent:
    """One message as it was put on the wire."""

    at: float
    sender: str
    to: str = ""
    payload: bytes

    @property
    def message(self) -> Request | Response:
        """The message."""
        return parse_message(self.payload)

    @property
    def title(self) -> str:
        """Method, or status and method."""
        message = self.message
        if isinstance(message, Request):
            return message.method
        return f"{message.status} {message.cseq.method}"


class Node:
    """One user agent; `on_event` is its application."""

    def __init__(self, wire: "Wire", host: str, peers: Sequence[str], trunk: Trunk, *, seed: int) -> None:
        self.wire = wire
        self.host = host
        self.events: list[SipEvent] = []
        self.moves = 0
        """How often a call had to be written down anew."""
        self.counts: list[Count] = []
        self.notes: list[Note] = []
        self.on_event: Callable[[SipEvent], None] = lambda event: None
        settings = SipSettings(listeners=(Listener(transport=trunk.transport, host=host, port=5060),), trunks=(trunk,))
        local = LocalAddress(transport=trunk.transport, host=host, port=5060)
        self.agent = UserAgent(settings, entropy=SeededEntropy(seed), local_addresses=(local,))
        self.transport = trunk.transport
        servers = tuple(
            Server(priority=number, targets=(Target(trunk.transport, peer, 5060),)) for number, peer in enumerate(peers)
        )
        self.feed(TrunkResolved(trunk=trunk.name, servers=servers))

    def feed(self, event: Input) -> None:
        """One input and all that follows from it."""
        for action in self.agent.handle(event, self.wire.now):
            match action:
                case Send(payload=payload, flow=flow):
                    self.wire.carry(self, payload, flow)
                case Emit(event=CallMoved()):
                    self.moves += 1
                case Emit(event=emitted):
                    self.events.append(emitted)
                    self.wire.later(0.0, lambda emitted=emitted: self.on_event(emitted))  # type: ignore[misc]
                case Count():
                    self.counts.append(is_declared(action, TRUNK))
                case Note():
                    self.notes.append(action)
                case Fault(error=error):
                    raise error
                case _:
                    pass

    def start(self) -> None:
        """Register and watch."""
        self.feed(Start())

    def call(
        self,
        key: str = "call",
        *,
        called: str = "+15550100",
        caller: str = "+15550199",
        sdp: str | None = SDP,
        impatient: bool = False,
        urgent: bool = False,
    ) -> DialogKey:
        """Place a call."""
        dialog = DialogKey(key)
        call = OutgoingCall(
            trunk=TRUNK,
            called=called,
            caller=caller,
            caller_name="Alice",
            sdp=sdp,
            impatient=impatient,
            urgent=urgent,
        )
        self.feed(PlaceCall(dialog=dialog, call=call))
        return dialog

    def steer(self, dialog: DialogKey, command: DialogCommand) -> None:
        """Command a call."""
        self.feed(Steer(dialog=dialog, command=command))

    @property
    def incoming(self) -> IncomingCall:
        """The call that came in."""
        return next(event for event in self.events if isinstance(event, IncomingCall))

    def kinds(self) -> list[str]:
        """Names of the events so far."""
        return [type(event).__name__ for event in self.events]

    def counted(self, name: str, **labels: str) -> int:
        """How often something was counted."""
        return sum(count.name == name and labels.items() <= dict(count.labels).items() for count in self.counts)


@dataclass(slots=True, kw_only=True)
class Wire:
    """The network and the time. `tamper` says for each message after how long it arrives, perhaps never or twice."""

    now: float = 0.0
    log: list[Sent] = field(default_factory=list)
    tamper: Callable[[int, Sent], tuple[float, ...]] = lambda number, sent: (LATENCY_S,)
    refusing: set[str] = field(default_factory=set)
    """Hosts of which the network says at once that nothing listens there."""
    slow: dict[str, float] = field(default_factory=dict)
    """Hosts that what is sent to them reaches so much later."""
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _nodes: dict[str, Node] = field(default_factory=dict)

    def add(self, node: Node) -> Node:
        """Connect a node."""
        self._nodes[node.host] = node
        return node

    def disconnect(self, node: Node) -> None:
        """What is sent there is lost from now on."""
        del self._nodes[node.host]

    def later(self, after_s: float, action: Callable[[], None]) -> None:
        """Do something when its time has come."""
        heapq.heappush(self._queue, (self.now + after_s, next(self._order), action))

    def carry(self, sender: Node, payload: bytes, flow: Flow) -> None:
        """Take a message from a node."""
        sent = Sent(at=self.now, sender=sender.host, to=flow.host, payload=payload)
        delays = self.tamper(len(self.log), sent)
        self.log.append(sent)
        if flow.host in self.refusing:
            unreachable = Unreachable(transport=flow.transport, address=flow.address)
            for delay in delays:
                self.later(delay, lambda: sender.feed(unreachable))
            return
        target = self._nodes.get(flow.host)
        if target is not None and flow.port == 5060:
            source = Flow(transport=flow.transport, host=sender.host, port=5060)
            for delay in delays:
                self.later(
                    delay + self.slow.get(flow.host, 0.0), lambda: target.feed(Received(payload=payload, flow=source))
                )

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        end = self.now + duration_s
        while (step := self._next(end)) is not None:
            step()
        self.now = end

    def titles(self, sender: Node | None = None) -> list[str]:
        """What was sent, in short."""
        return [sent.title for sent in self.log if sender is None or sent.sender == sender.host]

    def _next(self, end: float) -> Callable[[], None] | None:
        due = [(self._queue[0][0], self._deliver)] if self._queue else []
        for node in self._nodes.values():
            deadline = node.agent.next_deadline()
            if deadline is not None:
                due.append((deadline, lambda node=node: node.feed(TimeElapsed())))  # type: ignore[misc]
        if not due:
            return None
        at, step = min(due, key=lambda item: item[0])
        if at > end:
            return None
        self.now = max(self.now, at)
        return step

    def _deliver(self) -> None:
        _, _, action = heapq.heappop(self._queue)
        action()


def pair(
    *,
    transport: Transport = Transport.UDP,
    wire: Wire | None = None,
    theirs: Mapping[str, object] | None = None,
    **settings: object,
) -> tuple[Wire, Node, Node]:
    """A caller and a callee that are each other's trunk; `theirs` are settings of the callee only."""
    wire = wire or Wire()
    nodes = []
    for seed, (host, peer) in enumerate((("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1"))):
        more = (theirs or {}) if seed else {}
        sources = (ip_network(f"{peer}/32"),)
        trunk = Trunk(name=TRUNK, host=peer, transport=transport, sources=sources, **settings, **more)  # type: ignore[arg-type]
        nodes.append(wire.add(Node(wire, host, (peer,), trunk, seed=seed)))
    return wire, nodes[0], nodes[1]


def fleet(
    size: int, *, transport: Transport = Transport.UDP, wire: Wire | None = None
) -> tuple[Wire, Node, list[Node]]:
    """A caller whose trunk has several servers, tried in their order, and these servers."""
    wire = wire or Wire()
    ours, hosts = "192.0.2.1", [f"192.0.2.{number + 10}" for number in range(size)]
    trunk = Trunk(name=TRUNK, host="trunk.example.org", transport=transport)
    caller = wire.add(Node(wire, ours, hosts, trunk, seed=0))
    back = Trunk(name=TRUNK, host=ours, transport=transport)
    return wire, caller, [wire.add(Node(wire, host, (ours,), back, seed=seed)) for seed, host in enumerate(hosts, 1)]
