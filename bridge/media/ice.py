"""aioice, made fit: our addresses and ports, and nothing passes that ICE has not validated.

This file, `ice_socket` and `dtls` are the only ones that know the inside of aioice and aiortc, and
`tests/media/test_contract.py` fails when it moves. What is changed:

* sockets are bound on the configured addresses, within the port range;
* datagrams are told apart by their first byte (RFC 7983), and those that are not STUN are dropped unless they come from
  an address that proved itself with an authenticated connectivity check; aioice hands them up from anywhere, and one
  forged ClientHello then kills a call (ASVS 5.0 V17.2.6);
* what begins like STUN and is none is dropped here: aioice takes it for data, whoever sent it;
* a request that does not name our credentials gets no answer, for that would be sent to whom its source names, and is
  longer than what asked for it; it is told before anything is parsed, so that a flood costs little;
* addresses of TURN servers come in when they are there, beside the sockets;
* several devices may answer before one is selected: what the others proved no longer counts from then on;
* SRTP goes straight to the leg, not through a queue; the queue for DTLS is bounded.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, get_host_addresses

from bridge.media.first_octet import DTLS_OCTETS
from bridge.media.ice_socket import GuardedProtocol
from bridge.media.latch import Address
from bridge.media.ports import PortPool
from bridge.media.relay import NOBODY, RelayTransport
from bridge.media.settings import MediaSettings

MAX_WAITING_DATAGRAMS = 64
MAX_REMOTE_ADDRESSES = 128
MAX_WRITE_BUFFER = 65536
_HOST_TYPE_PREFERENCE = 126
_UNAUTHENTICATED = (400, 401)
SrtpReceiver = Callable[[bytes], None]
DropCounter = Callable[[], None]


class SocketReader(Protocol):
    """Who reads the sockets of agents in the place of the event loop, takes the audio, and gives back the rest."""

    def take(self, agent: "IceAgent") -> None:
        """Read the sockets of one more agent: `IceAgent.hand_over` gives them."""
        ...

    def take_one(self, agent: "IceAgent", index: int, descriptor: int) -> None:
        """Read one more socket of an agent that was taken."""
        ...

    def paths_changed(self) -> None:
        """Another address is validated, another pair nominated, or another agent in use."""
        ...

    def let_go(self, agent: "IceAgent") -> None:
        """The sockets of an agent are about to be closed."""
        ...


def _device(check: Any) -> str:
    """The fragment of its own that an authenticated check's sender named (RFC 8445 §7.2.2)."""
    username: str = check.attributes["USERNAME"]
    return username.partition(":")[2]


class IceAgent(Connection):
    """An ICE agent (RFC 8445) for one component."""

    def __init__(
        self, *, controlling: bool, on_srtp: SrtpReceiver, on_off_path: DropCounter, on_excess: DropCounter
    ) -> None:
        super().__init__(ice_controlling=controlling)
        self.on_srtp = on_srtp
        self.on_off_path = on_off_path
        self._on_excess = on_excess
        self._validated: dict[Address, str] = {}
        """Addresses that proved themselves, and the fragment of the device that did."""
        self._held: list[tuple[Address, bytes]] = []
        """DTLS of devices that answered, until one is selected."""
        self._opened: list[int] = []
        self._reader: SocketReader | None = None
        self.named = f"{self.local_username}:".encode()
        """What every check for us has in its user name (RFC 8445 §7.2.2)."""
        self.checked = asyncio.Event()
        """Somebody who knows our password has sent a check."""

    async def gather_on(self, hosts: tuple[str, ...], ports: PortPool) -> None:
        """Open one socket for each address. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        self._local_candidates_start = True
        for preference, host in enumerate(hosts):
            protocol = await self._open(host, ports)
            self._protocols.append(protocol)
            protocol.local_candidate = _host_candidate(protocol, 65535 - preference)
            self._local_candidates.append(protocol.local_candidate)
        self._local_candidates_end = True

    async def _open(self, host: str, ports: PortPool) -> GuardedProtocol:
        bound = ports.bind_single(host)
        self._opened.append(bound.getsockname()[1])
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.create_datagram_endpoint(lambda: GuardedProtocol(self), sock=bound)
        except BaseException:
            bound.close()
            raise
        return protocol

    @property
    def sockets(self) -> list["GuardedProtocol"]:
        """Our own sockets, without relays."""
        protocols = cast(list[GuardedProtocol], self._protocols)
        return [protocol for protocol in protocols if not isinstance(protocol.transport, RelayTransport)]

    def add_relay(self, protocol: GuardedProtocol) -> bool:
        """Use an allocation as well; `False` when it is of no use any more."""
        if self.is_closed or self._nominated:
            return False
        protocol.local_candidate = _relay_candidate(protocol)
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)
        for remote in self._remote_candidates:
            self._pair_remote_candidate(remote)
        self.sort_check_list()
        if self._reader is not None:
            self._reader.take_one(self, len(self._protocols) - 1, _descriptor(protocol))
        return True

    async def close_and_give_back(self, ports: PortPool) -> None:
        """Close every socket and let its port rest, also when a task of aioice does not end as it should."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.let_go(self)
        try:
            await self.close()
        finally:
            for protocol in self._protocols:
                protocol.transport.abort()
            while self._opened:
                ports.give_back(self._opened.pop())

    def select(self, *, ufrag: str, password: str, is_lite: bool) -> None:
        """Take the credentials of the device that was selected; what others proved with theirs no longer counts."""
        self.remote_username, self.remote_password, self.remote_is_lite = ufrag, password, is_lite
        self._validated = {address: device for address, device in self._validated.items() if device == ufrag}
        checks = [entry for entry in self._early_checks if _device(entry[0]) == ufrag]
        self._early_checks.clear()
        self._early_checks.extend(checks)
        held, self._held = self._held, []
        for address, datagram in held:
            if self.is_validated(address):
                self.data_received(datagram, 1)
            else:
                self.on_off_path()

    def count_stranger(self, address: Address) -> None:
        """Something was dropped; from a peer that is known it may be an answer that came twice."""
        if not self.is_validated(address):
            self.on_off_path()

    def is_validated(self, address: Address) -> bool:
        """Whether an address proved that it knows our password."""
        return address in self._validated

    def request_received(self, message: Any, addr: Address, protocol: StunProtocol) -> None:
        """Remember who sent an authenticated check, also while checks are put off until the answer is here."""
        if "PRIORITY" not in message.attributes:
            self.count_stranger(addr)
            return
        super().request_received(message, addr, protocol)
        if self._early_checks and self._early_checks[-1][0] is message:
            self.checked.set()
            self._validate(addr, _device(message))

    def respond_error(self, request: Any, addr: Address, protocol: StunProtocol, error_code: tuple[int, str]) -> None:
        """Answer those who know our password, about a conflict of roles; say nothing to anybody else."""
        if error_code[0] in _UNAUTHENTICATED:
            self.count_stranger(addr)
        else:
            super().respond_error(request, addr, protocol, error_code)

    def check_incoming(self, message: Any, addr: Address, protocol: StunProtocol) -> None:
        """An authenticated check; the number of addresses that one peer may show is limited."""
        if self._validate(addr, _device(message)):
            super().check_incoming(message, addr, protocol)

    def check_complete(self, pair: CandidatePair) -> None:
        """Our own check was answered: its address is validated too."""
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._validate(pair.remote_addr, self.remote_username or "")
        super().check_complete(pair)
        self._tell_paths()

    def _validate(self, address: Address, device: str) -> bool:
        if address not in self._validated and len(self._validated) >= MAX_REMOTE_ADDRESSES:
            return False
        if self._validated.get(address) != device:
            self._validated[address] = device
            self._tell_paths()
        return True

    def hand_over(self, reader: SocketReader) -> dict[int, int]:
        """Stop reading the sockets, for someone else does; their descriptors, without relays that are lost."""
        self._reader = reader
        protocols = enumerate(self._protocols)
        return {index: _descriptor(entry) for index, entry in protocols if not entry.transport.is_closing()}

    def take_back(self, socket: int, datagram: bytes, source: Address) -> None:
        """A datagram that came on one of the sockets that were handed over."""
        if self.is_closed:
            return
        protocol = self._protocols[socket]
        if isinstance(protocol.transport, RelayTransport) and source == NOBODY:
            protocol.transport.take_back(datagram)
        else:
            protocol.datagram_received(datagram, source)

    def channels(self, socket: int) -> list[tuple[int, Address]] | None:
        """The TURN channels of a relay; `None` for a socket of our own."""
        transport = None if self.is_closed else self._protocols[socket].transport
        return transport.channels if isinstance(transport, RelayTransport) else None

    @property
    def validated(self) -> list[Address]:
        """Addresses that proved themselves."""
        return list(self._validated)

    @property
    def nominated(self) -> tuple[int, Address] | None:
        """The pair to send on: a local socket and a remote address."""
        pair = self._nominated.get(1)
        return None if pair is None or self.is_closed else (self._protocols.index(pair.protocol), pair.remote_addr)

    def _tell_paths(self) -> None:
        if self._reader is not None:
            self._reader.paths_changed()

    def take_dtls(self, data: bytes, source: Address) -> None:
        """Queue DTLS of a validated address; before a device is selected, keep it until it is known whose it is."""
        if self.remote_username is not None:
            self.data_received(data, 1)
        elif len(self._held) < MAX_WAITING_DATAGRAMS:
            self._held.append((source, data))
        else:
            self._on_excess()

    def data_received(self, data: bytes, component: int) -> None:
        """Queue DTLS and nothing else, up to a limit."""
        if not data or data[0] not in DTLS_OCTETS:
            self.on_off_path()
        elif self._queue.qsize() < MAX_WAITING_DATAGRAMS:
            super().data_received(data, component)
        else:
            self._on_excess()

    def send_now(self, datagram: bytes) -> bool:
        """Send on the nominated pair without waiting; `False` when there is none or the socket is clogged."""
        pair = self._nominated.get(1)
        if pair is None:
            return False
        transport = cast(asyncio.WriteTransport, pair.protocol.transport)
        if transport.get_write_buffer_size() > MAX_WRITE_BUFFER:
            return False
        pair.protocol.transport.sendto(datagram, pair.remote_addr)
        return True

    @property
    def is_closed(self) -> bool:
        """Whether the agent gave up or was closed; consent that is lost closes it (RFC 7675)."""
        return self._closed or self._closing


def _descriptor(protocol: StunProtocol) -> int:
    """Of a socket that the event loop reads no more."""
    if isinstance(protocol.transport, RelayTransport):
        return protocol.transport.hand_over()
    loop: Any = asyncio.get_running_loop()
    descriptor: int = protocol.transport.get_extra_info("socket").fileno()
    loop._remove_reader(descriptor)
    return descriptor


def _relay_candidate(protocol: StunProtocol) -> Candidate:
    host, port = protocol.transport.get_extra_info("sockname")
    related = protocol.transport.get_extra_info("related_address")
    return Candidate(
        foundation=candidate_foundation("relay", "udp", host)[:8],
        component=1,
        transport="udp",
        priority=candidate_priority(1, "relay"),
        host=host,
        port=port,
        type="relay",
        related_address=related[0],
        related_port=related[1],
    )


def _host_candidate(protocol: StunProtocol, preference: int) -> Candidate:
    """A host candidate with a priority of its own (RFC 8445 §5.1.2.1)."""
    host, port = protocol.transport.get_extra_info("sockname")[:2]
    return Candidate(
        foundation=candidate_foundation("host", "udp", host)[:8],
        component=1,
        transport="udp",
        priority=(_HOST_TYPE_PREFERENCE << 24) + (preference << 8) + 255,
        host=host,
        port=port,
        type="host",
    )


def webrtc_hosts(settings: MediaSettings) -> tuple[str, ...]:
    """The addresses at which clients may reach us."""
    return settings.webrtc_hosts or machine_addresses()


def machine_addresses() -> tuple[str, ...]:
    """Every address of this machine that another one could reach."""
    return tuple(get_host_addresses(use_ipv4=True, use_ipv6=True))
