"""aioice, made fit: our addresses and ports, and nothing passes that ICE has not validated.

This file and `dtls` are the only ones that know the inside of aioice and aiortc; `tests/media/test_contract.py` fails
when it moves. What is changed:

* sockets are bound on the configured addresses, within the port range;
* datagrams are told apart by their first byte (RFC 7983), and those that are not STUN are dropped unless they come from
  an address that proved itself with an authenticated connectivity check; aioice hands them up from anywhere, and one
  forged ClientHello then kills a call (ASVS 5.0 V17.2.6);
* SRTP goes straight to the leg, not through a queue; the queue for DTLS is bounded.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation
from aioice.ice import CandidatePair, StunProtocol, get_host_addresses

from bridge.media.ports import PortPool

MAX_WAITING_DATAGRAMS = 64
MAX_REMOTE_ADDRESSES = 128
MAX_WRITE_BUFFER = 65536
_LAST_STUN_BYTE = 3
_SRTP_BYTES = range(128, 192)
_DTLS_BYTES = range(20, 64)
_HOST_TYPE_PREFERENCE = 126
SrtpReceiver = Callable[[bytes], None]
DropCounter = Callable[[], None]


class GuardedProtocol(StunProtocol):
    """One local socket of an ICE agent."""

    receiver: "IceAgent"

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Sort a datagram by its first byte and by whether its source is known."""
        if not data or not isinstance(data, bytes):
            return
        if data[0] <= _LAST_STUN_BYTE:
            self._stun(data, addr)
        elif not self.receiver.is_validated((addr[0], addr[1])):
            self.receiver.on_off_path()
        elif data[0] in _SRTP_BYTES:
            self.receiver.on_srtp(data)
        elif data[0] in _DTLS_BYTES:
            self.receiver.data_received(data, 1)

    def _stun(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Hand STUN to aioice, whose parser lets some errors of malformed messages through."""
        try:
            super().datagram_received(data, addr)
        except (ValueError, IndexError, KeyError, struct.error):
            self.receiver.on_off_path()


class IceAgent(Connection):
    """An ICE agent (RFC 8445) for one component."""

    def __init__(self, *, controlling: bool, on_srtp: SrtpReceiver, on_off_path: DropCounter) -> None:
        super().__init__(ice_controlling=controlling)
        self.on_srtp = on_srtp
        self.on_off_path = on_off_path
        self._validated: set[tuple[str, int]] = set()
        self._opened: list[int] = []

    async def gather_on(self, hosts: tuple[str, ...], ports: PortPool) -> None:
        """Open one socket for each address. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        self._local_candidates_start = True
        for preference, host in enumerate(hosts):
            protocol = await self._open(host, ports)
            protocol.local_candidate = _host_candidate(protocol, 65535 - preference)
            self._protocols.append(protocol)
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

    async def close_and_give_back(self, ports: PortPool) -> None:
        """Close every socket and let its port rest."""
        await self.close()
        while self._opened:
            ports.give_back(self._opened.pop())

    def is_validated(self, address: tuple[str, int]) -> bool:
        """Whether an address proved that it knows our password."""
        return address in self._validated

    def request_received(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Remember who sent an authenticated check, also while checks are put off until the answer is here."""
        if "PRIORITY" not in message.attributes and "USERNAME" in message.attributes:
            self.respond_error(message, addr, protocol, (400, "Bad Request"))
            return
        super().request_received(message, addr, protocol)
        if self._early_checks and self._early_checks[-1][0] is message:
            self._validate(addr)

    def check_incoming(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """An authenticated check; the number of addresses that one peer may show is limited."""
        if self._validate(addr):
            super().check_incoming(message, addr, protocol)

    def check_complete(self, pair: CandidatePair) -> None:
        """Our own check was answered: its address is validated too."""
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._validate(pair.remote_addr)
        super().check_complete(pair)

    def _validate(self, address: tuple[str, int]) -> bool:
        if address not in self._validated and len(self._validated) >= MAX_REMOTE_ADDRESSES:
            return False
        self._validated.add(address)
        return True

    def data_received(self, data: bytes, component: int) -> None:
        """Queue DTLS, up to a limit."""
        if self._queue.qsize() < MAX_WAITING_DATAGRAMS:
            super().data_received(data, component)

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


def machine_addresses() -> tuple[str, ...]:
    """Every address of this machine that another one could reach."""
    return tuple(get_host_addresses(use_ipv4=True, use_ipv6=True))
