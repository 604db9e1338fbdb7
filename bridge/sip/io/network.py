"""All sockets of an endpoint: messages go out by the way that their flow names, and what comes in is handed on."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from bridge.core.floodgate import Floodgate
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.sip.actions import (
    Address,
    ClientKey,
    ConnectionClosed,
    Flow,
    NameFound,
    NetworkInput,
    Send,
    SendFailed,
    SentBy,
    Unreachable,
)
from bridge.sip.io.capture import Capture, Captured, nobody
from bridge.sip.io.detours import Detours
from bridge.sip.io.owned_tasks import OwnedTasks
from bridge.sip.io.resolver import Resolver
from bridge.sip.io.stream import PING, Peer
from bridge.sip.io.streams import StreamPool
from bridge.sip.io.tls import REMEDIES
from bridge.sip.io.tls_contexts import TlsContexts
from bridge.sip.io.udp import UdpSocket
from bridge.sip.settings import Listener, Transport

MAX_LOOKUPS = 256
"""Sends that wait for a name server."""

_log = structlog.get_logger()


class Network:
    """Datagram sockets, stream connections, and the names that flows may have instead of addresses."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        contexts: TlsContexts,
        telemetry: Telemetry,
        floodgate: Floodgate,
        admits: Callable[[str], bool],
        keeps: Callable[[Flow], bool],
        on_message: Callable[[bytes, Flow], None],
        on_input: Callable[[NetworkInput], None],
        on_sending: Callable[[SentBy | SendFailed], None],
        on_fault: Callable[[Exception], None],
        capture: Capture = nobody,
    ) -> None:
        """`on_input` hears of what happens by itself, `on_sending` of what becomes of a message while it is sent."""
        self._resolver = resolver
        self._floodgate = floodgate
        self._on_message = on_message
        self._on_input = on_input
        self._on_sending = on_sending
        self._capture = capture
        self._sockets: list[UdpSocket] = []
        self._bound: list[Listener] = []
        self._detours = Detours()
        self._lookups = OwnedTasks(on_fault)
        self._pool = StreamPool(
            telemetry=telemetry,
            contexts=contexts,
            admits=admits,
            keeps=keeps,
            on_message=on_message,
            on_sent=lambda key, number: on_sending(SentBy(transaction=key, connection=number)),
            on_failed=self._take_failure,
            on_closed=lambda flow: on_input(ConnectionClosed(flow=flow)),
            on_insecure=self._warn_insecure,
        )

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What is listened on, with the ports that were got."""
        return tuple(self._bound)

    async def listen(self, listener: Listener) -> None:
        """Bind; raises `OSError` or `ValueError` when that cannot be done."""
        host, port = await self._open(listener)
        self._bound.append(Listener(transport=listener.transport, host=host, port=port))

    def reaches(self, host: str) -> bool:
        """Whether a datagram socket can send to this address."""
        return self._socket_for(host, 0) is not None

    async def close(self) -> None:
        """Close everything; nothing is left afterwards."""
        await self._lookups.close()
        for bound in self._sockets:
            bound.close()
        await self._pool.close()

    # Out.

    def send(self, action: Send) -> None:
        """Send a message, once the name of its flow has an address."""
        flow = action.flow
        addresses = self._resolver.known(flow.host, flow.port, flow.transport)
        if addresses:
            self._send_by(action, addresses)
        elif len(self._lookups) < MAX_LOOKUPS:
            self._lookups.spawn(self._look_up_and_send(action))
        else:
            self._fail(action)

    def ping(self, flow: Flow, *, answered: bool) -> None:
        """Keep a way open."""
        if flow.transport is not Transport.UDP:
            self._pool.ping(flow, answered=answered)
        elif (bound := self._socket_for(flow.host, flow.listener)) is not None:
            bound.send(PING, flow.host, flow.port)

    def doubt(self, flow: Flow, silent_s: float) -> None:
        """End a connection that seems dead."""
        self._pool.doubt(flow, silent_s)

    def look_up(self, host: str) -> None:
        """Find a host that is spoken of in a dialog; when too many are sought, its requests are not read."""
        if len(self._lookups) < MAX_LOOKUPS:
            self._lookups.spawn(self._look_up_host(host))

    async def _look_up_and_send(self, action: Send) -> None:
        flow = action.flow
        await self._resolver.locate(flow.host, flow.port, flow.transport)
        addresses = self._resolver.known(flow.host, flow.port, flow.transport)
        if addresses:
            self._on_input(NameFound(host=flow.host, addresses=tuple(address.host for address in addresses)))
            self._send_by(action, addresses)
        elif action.transaction is not None:
            self._on_input(SendFailed(transaction=action.transaction))

    async def _look_up_host(self, host: str) -> None:
        addresses = await self._resolver.hosts_of(host)
        if addresses:
            self._on_input(NameFound(host=host, addresses=addresses))

    def _send_by(self, action: Send, addresses: tuple[Address, ...]) -> None:
        self._detours.note(action, addresses)
        self._send_to(action, addresses[0])

    def _send_to(self, action: Send, address: Address) -> None:
        self._show(action.payload, action.flow, address, outgoing=True)
        match action.flow.transport:
            case Transport.UDP:
                bound = self._socket_for(address.host, action.flow.listener)
                if bound is None or not bound.send(action.payload, *address):
                    self._fail(action)
            case Transport.TCP | Transport.TLS:
                flow = replace(action.flow, host=address.host, port=address.port)
                self._pool.send(action.payload, flow, action.transaction)

    def _take_detour(self, transaction: ClientKey) -> bool:
        """Send by the next address of the name, if it has one."""
        detour = self._detours.take(transaction)
        if detour is None:
            return False
        action, addresses = detour
        self._resolver.avoid(addresses[0])
        self._send_by(action, addresses[1:])
        return True

    def _fail(self, action: Send) -> None:
        if action.transaction is not None and not self._take_detour(action.transaction):
            self._on_sending(SendFailed(transaction=action.transaction))

    def _take_failure(self, transaction: ClientKey) -> None:
        if not self._take_detour(transaction):
            self._on_input(SendFailed(transaction=transaction))

    # In.

    def _take_datagram(self, payload: bytes, host: str, port: int, number: int) -> None:
        self._on_message(payload, Flow(transport=Transport.UDP, host=host, port=port, listener=number))

    def _take_unreachable(self, host: str, port: int) -> None:
        self._resolver.avoid(Address(host, port))
        self._on_input(Unreachable(transport=Transport.UDP, address=Address(host, port)))

    def _warn_insecure(self, peer: Peer, direction: str, reason: str) -> None:
        """Say what an admin can do, once in a while."""
        suppressed = self._floodgate.pass_or_count(f"tls_failed {peer.trunk} {direction} {reason}")
        if suppressed is not None:
            known = {"trunk": peer.trunk, "server_name": peer.name} if direction == "out" else {}
            remedy = REMEDIES[reason]
            fields = {"direction": direction, "peer": Pii(peer.host), "reason": reason, "remedy": remedy}
            _log.warning("tls_failed", **known, **fields, suppressed=suppressed)

    # Both.

    def show_received(self, payload: bytes, flow: Flow) -> None:
        """Let the capture see a message that came in and is going to be read."""
        self._show(payload, flow, flow.address, outgoing=False)

    def _show(self, payload: bytes, flow: Flow, remote: Address, *, outgoing: bool) -> None:
        if self._capture is not nobody:
            local = self._local(flow)
            self._capture(Captured(outgoing, payload, flow.transport, local, remote))

    def _local(self, flow: Flow) -> Address:
        listeners = [listener for listener in self._bound if listener.transport is flow.transport]
        if not listeners:
            return Address("", 0)
        listener = listeners[flow.listener if flow.listener < len(listeners) else 0]
        return Address(listener.host, listener.port)

    # Sockets.

    async def _open(self, listener: Listener) -> tuple[str, int]:
        match listener.transport:
            case Transport.UDP:
                bound = UdpSocket(
                    len(self._sockets), on_datagram=self._take_datagram, on_unreachable=self._take_unreachable
                )
                bound.open(listener.host, listener.port)
                self._sockets.append(bound)
                return bound.host, bound.port
            case Transport.TCP | Transport.TLS:
                return await self._pool.listen(listener.transport, listener.host, listener.port)

    def _socket_for(self, host: str, number: int) -> UdpSocket | None:
        version = 6 if ":" in host else 4
        if number < len(self._sockets) and self._sockets[number].version == version:
            return self._sockets[number]
        return next((bound for bound in self._sockets if bound.version == version), None)
