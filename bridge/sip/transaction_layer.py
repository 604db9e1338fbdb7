"""All transactions of one user agent: begun, found for a message, forgotten (RFC 3261 §17.1.3, §17.2.3, §18)."""

from collections import Counter
from dataclasses import replace

from bridge.core.entropy import Entropy
from bridge.sip.actions import Action, ClientKey, Flow, LocalAddress, Send
from bridge.sip.active_transaction import Active, ActiveClient, ActiveServer, ClientUser
from bridge.sip.client_transaction import ClientTransaction
from bridge.sip.dialog import DialogId
from bridge.sip.fields import Via
from bridge.sip.matching import (
    MAGIC_COOKIE,
    MergeKey,
    ServerKey,
    dialog_id,
    merge_key,
    reply_flow,
    server_key,
)
from bridge.sip.message import Request, Response
from bridge.sip.message_counts import request_count, response_count, retransmission_count
from bridge.sip.peers import Peers
from bridge.sip.server_transaction import ServerTransaction
from bridge.sip.settings import Transport
from bridge.sip.timers import TimerHeap
from bridge.sip.transaction import (
    AckReceived,
    Event,
    FailureReceived,
    FailureSent,
    ProvisionalReceived,
    ProvisionalSent,
    RequestReceived,
    State,
    SuccessReceived,
    SuccessSent,
    Timing,
    TransportFailed,
)
from bridge.sip.transaction_runner import TransactionRunner, TransactionTimer


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
        self._runner = TransactionRunner(
            timers=timers, actions=actions, timeout_s=timing.timeout_s, on_end=self._forget
        )
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
        self.actions.append(request_count(ack, flow, "out"))
        self.actions.append(Send(payload=bytes(ack), flow=flow))

    def resume_invite(self, invite: Request, flow: Flow, user: ClientUser) -> ActiveClient:
        """Go on with the INVITE of an earlier process, as one to which a provisional response has come."""
        return self._add_client(invite, State.PROCEEDING, flow, user)

    def _start_client(self, request: Request, flow: Flow, user: ClientUser, now: float) -> ActiveClient:
        state = State.CALLING if request.method == "INVITE" else State.TRYING
        client = self._add_client(request, state, flow, user)
        self.actions.append(request_count(request, flow, "out"))
        self._runner.start(client, now)
        return client

    def _add_client(self, request: Request, state: State, flow: Flow, user: ClientUser) -> ActiveClient:
        machine = ClientTransaction(request, state, reliable=flow.reliable, timing=self.timing)
        key = ClientKey(request.via.branch or "", request.method)
        client = self._clients[key] = ActiveClient(key=key, machine=machine, flow=flow, user=user)
        self._peers.meet(flow.host)
        return client

    def receive_response(self, response: Response, source: Flow, now: float) -> bool:
        """Hand a response to its transaction; false when it has none (RFC 3261 §18.1.2)."""
        client = self._clients.get(ClientKey(response.via.branch or "", response.cseq.method))
        if client is None:
            return False
        client.heard_from = source.host
        self._runner.drive(client, _response_event(response), now)
        return True

    def abandon(self, client: ActiveClient) -> None:
        """Destroy an INVITE transaction that was cancelled without effect (RFC 3261 §9.1)."""
        self._runner.stop_timers(client)
        self._forget(client)

    def fall_silent(self, client: ActiveClient) -> None:
        """Repeat a request no longer, and wait without limit: its user sets one, and abandons it then."""
        self._runner.stop_timers(client)

    def note_connection(self, key: ClientKey, connection: int) -> None:
        """What else belongs to the transaction takes the connection of its request, and so does its end."""
        client = self._clients.get(key)
        if client is not None:
            client.flow = replace(client.flow, connection=connection)

    def fail_client(self, key: ClientKey, now: float) -> None:
        """The request could not be sent."""
        client = self._clients.get(key)
        if client is not None:
            self._runner.drive(client, TransportFailed(), now)

    def fail_unreachable(self, transport: Transport, host: str, port: int, now: float) -> None:
        """Fail all requests that wait for a peer of which the network says that it is not there."""
        for client in list(self._clients.values()):
            if (client.flow.transport, client.flow.host, client.flow.port) == (transport, host, port):
                self._runner.drive(client, TransportFailed(), now)

    def fail_connection(self, flow: Flow, now: float) -> None:
        """Fail all requests that went over a connection that is gone (RFC 3261 §18.4), and no others to its peer."""
        for client in list(self._clients.values()):
            if client.flow.connection == flow.connection:
                self._runner.drive(client, TransportFailed(), now)

    # Requests that we receive.

    def absorb_retransmission(self, request: Request, now: float) -> bool:
        """Hand a repeated request to the transaction that it made; false when it is a new one."""
        known = self._servers.get(server_key(request, request.method))
        if known is None:
            return False
        self.actions.append(retransmission_count(request.method, "in"))
        self._runner.drive(known, RequestReceived(request=request), now)
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
        self._runner.drive(server, AckReceived(request=ack), now)
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
            self.actions.append(response_count(response, server.request.method, "out"))
        self._runner.drive(server, _sent_event(response), now)

    def settle(self, server: ActiveServer) -> None:
        """Nobody looks at a request again that was answered: keep what absorbs its retransmissions."""
        if server.answered:
            server.user = None
            server.machine.settle()

    def drop(self, server: ActiveServer) -> None:
        """Forget a request without an answer: a stranger learns nothing."""
        self._runner.stop_timers(server)
        self._forget(server)

    # All of them.

    def fire(self, timer: TransactionTimer, now: float) -> None:
        """A transaction's deadline has passed."""
        self._runner.fire(timer, now)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        everything: list[Active] = [*self._clients.values(), *self._servers.values()]
        for active in everything:
            self._runner.stop_timers(active)
        self._clients.clear()
        self._servers.clear()
        self._merges.clear()
        self._inside.clear()

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
