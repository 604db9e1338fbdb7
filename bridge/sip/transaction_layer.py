"""Matches messages to transactions and runs their machines (RFC 3261 §17.1.3, §17.2.3, §18)."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.entropy import Entropy
from bridge.sip.actions import Action, ClientKey, Count, DoubtFlow, Flow, LocalAddress, Send
from bridge.sip.dialog import DialogId
from bridge.sip.fields import Via
from bridge.sip.matching import (
    MAGIC_COOKIE,
    MergeKey,
    ServerKey,
    dialog_id,
    merge_key,
    method_label,
    reply_flow,
    server_key,
)
from bridge.sip.message import Request, Response
from bridge.sip.peers import Peers
from bridge.sip.settings import Transport
from bridge.sip.timers import Timer, TimerHeap
from bridge.sip.transaction import (
    TIMER_EVENTS,
    TIMERS_OF,
    AckReceived,
    ClientTransaction,
    Event,
    FailureReceived,
    FailureSent,
    Outputs,
    ProvisionalReceived,
    ProvisionalSent,
    RequestReceived,
    SendMessage,
    ServerTransaction,
    SetTimer,
    State,
    SuccessReceived,
    SuccessSent,
    Tell,
    TimedOut,
    TimerName,
    Timing,
    TransportFailed,
)


class ClientUser(Protocol):
    """Whoever sent a request."""

    def response_received(self, client: "ActiveClient", response: Response, now: float) -> None:
        """A response that is not a retransmission; for INVITE also each repeated or further 2xx."""
        ...

    def request_failed(self, client: "ActiveClient", status: int, now: float) -> None:
        """No final response will come: 408 after a timeout, 503 after a transport failure (RFC 3261 §8.1.3.1)."""
        ...


class ServerUser(Protocol):
    """Whoever answers an INVITE."""

    def acknowledged(self, request: Request, now: float) -> None:
        """The ACK for a 2xx that came with the branch of its INVITE, as RFC 2543 peers send it."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class ActiveClient:
    """A client transaction with its surroundings."""

    key: ClientKey
    machine: ClientTransaction
    flow: Flow
    user: ClientUser
    heard_from: str = ""
    """The address that the newest response came from: it may be another than the one that was asked."""
    timers: "dict[TimerName, Timer[object]]" = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request as it was sent."""
        return self.machine.request


@dataclass(slots=True, kw_only=True, eq=False)
class ActiveServer:
    """A server transaction with its surroundings."""

    key: ServerKey
    machine: ServerTransaction
    source: Flow
    """Where the request came from."""
    flow: Flow
    """Where responses go."""
    merge_key: MergeKey | None
    inside: DialogId | None = None
    """The dialog of a request that came inside one."""
    user: ServerUser | None = None
    timers: "dict[TimerName, Timer[object]]" = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request that made it."""
        return self.machine.request

    @property
    def answered(self) -> bool:
        """Whether a final response was sent."""
        return self.machine.state not in (State.TRYING, State.PROCEEDING)


Active = ActiveClient | ActiveServer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransactionTimer:
    """A timer of RFC 3261 §17 is due."""

    active: Active
    name: TimerName


class TransactionLayer:
    """All transactions of one user agent. What they want done is appended to `actions`."""

    def __init__(
        self,
        *,
        entropy: Entropy,
        timing: Timing,
        local_addresses: tuple[LocalAddress, ...],
        timers: TimerHeap[object],
        actions: list[Action],
        peers: Peers,
    ) -> None:
        self.timing = timing
        self.actions = actions
        self._entropy = entropy
        self._timers = timers
        self._peers = peers
        self._locals = local_addresses
        self._clients: dict[ClientKey, ActiveClient] = {}
        self._servers: dict[ServerKey, ActiveServer] = {}
        self._merges: dict[MergeKey, ActiveServer] = {}
        self._inside: Counter[DialogId] = Counter()
        """How many server transactions each dialog has."""

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # Requests that we send.

    def local_address(self, flow: Flow) -> LocalAddress:
        """Our address for Via and Contact: of the flow's listener, or else of one that speaks the same protocols."""
        wanted = (flow.transport, 6 if ":" in flow.host else 4, flow.listener)
        return min(self._locals, key=lambda local: _differences(local, wanted))

    def new_branch(self) -> str:
        """A branch that nobody can guess, so that forged responses match nothing."""
        return MAGIC_COOKIE + self._entropy.token(20)

    def add_via(self, request: Request, flow: Flow, branch: str) -> None:
        """Put our Via on top; `rport` always, so that answers come back through NAT (RFC 3581 §3)."""
        local = self.local_address(flow)
        params: dict[str, str | None] = {"branch": branch, "rport": None}
        if request.method == "REGISTER":
            params["keep"] = None  # We are willing to keep this way open (RFC 6223 §4.2.1).
        via = Via(flow.transport.value.upper(), local.host, local.port, params)
        request.headers.prepend("Via", str(via))

    def send_request(self, request: Request, flow: Flow, user: ClientUser, now: float) -> ActiveClient:
        """Start a client transaction; the request gets a Via with a new branch."""
        self.add_via(request, flow, self.new_branch())
        return self._start_client(request, flow, user, now)

    def send_cancel(self, cancel: Request, invite: ActiveClient, user: ClientUser, now: float) -> ActiveClient:
        """CANCEL carries the very Via of its INVITE and goes the same way (RFC 3261 §9.1)."""
        return self._start_client(cancel, invite.flow, user, now)

    def send_ack(self, ack: Request, flow: Flow, now: float) -> None:
        """The ACK for a 2xx is no transaction of its own; its Via must be there already (RFC 3261 §13.2.2.4)."""
        self._count_sent_request(ack, flow)
        self.actions.append(Send(payload=bytes(ack), flow=flow))

    def resume_invite(self, invite: Request, flow: Flow, user: ClientUser) -> ActiveClient:
        """Go on with the INVITE of an earlier process, as one to which a provisional response has come."""
        machine = ClientTransaction(invite, State.PROCEEDING, reliable=flow.reliable, timing=self.timing)
        client = ActiveClient(key=ClientKey(invite.via.branch or "", "INVITE"), machine=machine, flow=flow, user=user)
        self._clients[client.key] = client
        self._peers.meet(flow.host)
        return client

    def _start_client(self, request: Request, flow: Flow, user: ClientUser, now: float) -> ActiveClient:
        state = State.CALLING if request.method == "INVITE" else State.TRYING
        machine = ClientTransaction(request, state, reliable=flow.reliable, timing=self.timing)
        key = ClientKey(request.via.branch or "", request.method)
        client = ActiveClient(key=key, machine=machine, flow=flow, user=user)
        self._clients[key] = client
        self._peers.meet(flow.host)
        self._count_sent_request(request, flow)
        outputs: Outputs = []
        machine.start(outputs)
        self._carry_out(client, outputs, now)
        return client

    def receive_response(self, response: Response, source: Flow, now: float) -> bool:
        """Hand a response to its transaction; false when it has none (RFC 3261 §18.1.2)."""
        client = self._clients.get(ClientKey(response.via.branch or "", response.cseq.method))
        if client is None:
            return False
        client.heard_from = source.host
        self._drive(client, _response_event(response), now)
        return True

    def abandon(self, client: ActiveClient) -> None:
        """Destroy an INVITE transaction that was cancelled without effect (RFC 3261 §9.1)."""
        self._stop_timers(client, frozenset())
        self._forget(client)

    def fall_silent(self, client: ActiveClient) -> None:
        """Repeat a request no longer, and wait without limit: its user sets one, and abandons it then."""
        self._stop_timers(client, frozenset())

    def fail_client(self, key: ClientKey, now: float) -> None:
        """The request could not be sent."""
        client = self._clients.get(key)
        if client is not None:
            self._drive(client, TransportFailed(), now)

    def fail_unreachable(self, transport: Transport, host: str, port: int, now: float) -> None:
        """Fail all requests that wait for a peer of which the network says that it is not there."""
        for client in list(self._clients.values()):
            if (client.flow.transport, client.flow.host, client.flow.port) == (transport, host, port):
                self._drive(client, TransportFailed(), now)

    def fail_connection(self, flow: Flow, now: float) -> None:
        """Fail all requests that wait for a peer whose connection is gone (RFC 3261 §18.4)."""
        self.fail_unreachable(flow.transport, flow.host, flow.port, now)

    # Requests that we receive.

    def absorb_retransmission(self, request: Request, now: float) -> bool:
        """Hand a repeated request to the transaction that it made; false when it is a new one."""
        known = self._servers.get(server_key(request, request.method))
        if known is None:
            return False
        self._count_retransmission("in", request.method)
        self._drive(known, RequestReceived(request=request), now)
        return True

    def receive_request(self, request: Request, flow: Flow) -> ActiveServer:
        """A server transaction for a new request, which is no ACK; its Via notes the source from now on."""
        request.stamp_source(flow.host, flow.port)
        key = server_key(request, request.method)
        state = State.PROCEEDING if request.method == "INVITE" else State.TRYING
        machine = ServerTransaction(request, state, reliable=flow.reliable, timing=self.timing)
        server = ActiveServer(
            key=key,
            machine=machine,
            source=flow,
            flow=reply_flow(request.via, flow),
            merge_key=merge_key(request),
            inside=None if request.to.tag is None else dialog_id(request),
        )
        self._servers[key] = server
        if server.inside is not None:
            self._inside[server.inside] += 1
        return server

    def open_inside(self, dialog: DialogId) -> int:
        """How many requests of the peer in a dialog are unanswered, or linger."""
        return self._inside[dialog]

    def absorb_ack(self, ack: Request, now: float) -> bool:
        """Hand an ACK to the INVITE transaction that it matches; false when it acknowledges a 2xx."""
        server = self._servers.get(server_key(ack, "INVITE"))
        if server is None:
            return False
        self._drive(server, AckReceived(request=ack), now)
        return True

    def cancelled_by(self, cancel: Request) -> ActiveServer | None:
        """The INVITE transaction that a CANCEL means (RFC 3261 §9.2)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def merged_with(self, server: ActiveServer) -> bool:
        """Whether the same request came by another path already (RFC 3261 §8.2.2.2)."""
        if server.merge_key is None:
            return False
        first = self._merges.setdefault(server.merge_key, server)
        return first is not server

    def respond(self, server: ActiveServer, response: Response, now: float, *, again: bool = False) -> None:
        """Send a response through its transaction; one that the table does not allow is dropped and counted."""
        if not again:
            self._count_response(response, server.request.method)
        self._drive(server, _sent_event(response), now)

    def settle(self, server: ActiveServer) -> None:
        """Nobody looks at a request again that was answered: keep what absorbs its retransmissions."""
        if server.answered:
            server.user = None
            server.machine.settle()

    def drop(self, server: ActiveServer) -> None:
        """Forget a request without an answer: a stranger learns nothing."""
        self._stop_timers(server, frozenset())
        self._forget(server)

    # Running the machines.

    def fire(self, timer: TransactionTimer, now: float) -> None:
        """A transaction's deadline has passed."""
        del timer.active.timers[timer.name]
        self._drive(timer.active, TIMER_EVENTS[timer.name], now)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        everything: list[Active] = [*self._clients.values(), *self._servers.values()]
        for active in everything:
            self._stop_timers(active, frozenset())
        self._clients.clear()
        self._servers.clear()
        self._merges.clear()
        self._inside.clear()

    def _drive(self, active: Active, event: Event, now: float) -> None:
        outputs: Outputs = []
        if not active.machine.handle(event, outputs):
            self._count_unexpected(active, event)
            return
        self._stop_timers(active, TIMERS_OF[type(active.machine)].get(active.machine.state, frozenset()))
        if active.machine.state is State.TERMINATED:
            self._forget(active)
        self._carry_out(active, outputs, now)

    def _carry_out(self, active: Active, outputs: Outputs, now: float) -> None:
        for output in outputs:
            match output:
                case SendMessage(message=message, again=again):
                    self._send(active, message, again=again)
                case SetTimer(timer=name, after_s=after_s):
                    self._set_timer(active, name, now + after_s)
                case Tell(event=event):
                    self._tell(active, event, now)

    def _send(self, active: Active, message: Request | Response | bytes, *, again: bool) -> None:
        key = active.key if isinstance(active, ActiveClient) else None
        self.actions.append(Send(payload=bytes(message), flow=active.flow, transaction=key))
        if again:
            self._count_retransmission("out", active.request.method)

    def _set_timer(self, active: Active, name: TimerName, deadline: float) -> None:
        previous = active.timers.get(name)
        if previous is not None:
            self._timers.cancel(previous)
        active.timers[name] = self._timers.schedule(deadline, TransactionTimer(active=active, name=name))

    def _stop_timers(self, active: Active, living: frozenset[TimerName]) -> None:
        for name in [name for name in active.timers if name not in living]:
            self._timers.cancel(active.timers.pop(name))

    def _tell(self, active: Active, event: Event, now: float) -> None:
        match active:
            case ActiveClient():
                self._tell_client(active, event, now)
            case ActiveServer(user=user):
                if user is not None and isinstance(event, AckReceived):
                    user.acknowledged(event.request, now)

    def _tell_client(self, client: ActiveClient, event: Event, now: float) -> None:
        match event:
            case ProvisionalReceived(response=response):
                client.user.response_received(client, response, now)
            case SuccessReceived(response=response) | FailureReceived(response=response):
                client.user.response_received(client, response, now)
            case TimedOut():
                if client.flow.reliable:
                    self.actions.append(DoubtFlow(flow=client.flow, silent_s=self.timing.timeout_s))
                client.user.request_failed(client, 408, now)
            case TransportFailed():
                client.user.request_failed(client, 503, now)
            case _:
                raise TypeError(f"no client transaction tells {type(event).__name__}")

    def _forget(self, active: Active) -> None:
        match active:
            case ActiveClient():
                if self._clients.pop(active.key, None) is not None:
                    self._peers.part(active.flow.host)
            case ActiveServer():
                if self._servers.pop(active.key, None) is not None:
                    self._leave(active.inside)
                if active.merge_key is not None and self._merges.get(active.merge_key) is active:
                    del self._merges[active.merge_key]

    def _leave(self, dialog: DialogId | None) -> None:
        if dialog is None:
            return
        self._inside[dialog] -= 1
        if self._inside[dialog] <= 0:
            del self._inside[dialog]

    # Counting.

    def _count_unexpected(self, active: Active, event: Event) -> None:
        kind = "client" if isinstance(active, ActiveClient) else "server"
        labels = {"machine": f"{kind}_transaction", "event": type(event).__name__}
        self.actions.append(Count(name="sip_unexpected_events_total", labels=labels))

    def _count_retransmission(self, direction: str, method: str) -> None:
        labels = {"direction": direction, "method": method_label(method)}
        self.actions.append(Count(name="sip_retransmissions_total", labels=labels))

    def _count_sent_request(self, request: Request, flow: Flow) -> None:
        labels = {"method": method_label(request.method), "direction": "out", "transport": flow.transport.value}
        self.actions.append(Count(name="sip_requests_total", labels=labels))

    def _count_response(self, response: Response, method: str) -> None:
        labels = {"method": method_label(method), "direction": "out", "status_class": f"{response.status // 100}xx"}
        self.actions.append(Count(name="sip_responses_total", labels=labels))


def _response_event(response: Response) -> Event:
    if response.status < 200:
        return ProvisionalReceived(response=response)
    return SuccessReceived(response=response) if response.status < 300 else FailureReceived(response=response)


def _sent_event(response: Response) -> Event:
    if response.status < 200:
        return ProvisionalSent(response=response)
    return SuccessSent(response=response) if response.status < 300 else FailureSent(response=response)


def _differences(local: LocalAddress, wanted: tuple[Transport, int, int]) -> tuple[bool, ...]:
    """What a local address has not in common with a flow, weightiest first."""
    has = (local.transport, local.version, local.listener)
    return tuple(ours != theirs for ours, theirs in zip(has, wanted, strict=True))
