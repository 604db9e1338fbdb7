"""The phone's leg: a pair of UDP sockets that speak with one host only."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from structlog.typing import FilteringBoundLogger

from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.media.closing import STEP_LIMIT_S
from bridge.media.latch import Networks, SourceLatch
from bridge.media.packet_rate import PacketRate
from bridge.media.ports import PortPool
from bridge.media.rtp import MAX_DATAGRAM
from bridge.media.sdp_sip import RemoteSip
from bridge.media.srtp import Refusal, SrtpContext

_MAX_WRITE_BUFFER = 65536
Receiver = Callable[[bytes], object]


class _Endpoint(asyncio.DatagramProtocol):
    """Hands datagrams on with their source, and tells when its socket is closed."""

    def __init__(self, receive: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._receive = receive
        self.closed = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._receive(data, (addr[0], addr[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class RtpLeg:
    """RTP and RTCP towards one phone."""

    def __init__(
        self,
        ports: PortPool,
        telemetry: Telemetry,
        *,
        now: Callable[[], float],
        log: FilteringBoundLogger,
        trusted: Networks,
        on_rtp: Receiver,
        on_rtcp: Receiver,
    ) -> None:
        self._ports = ports
        self._telemetry = telemetry
        self._log = log
        self._on_rtp, self._on_rtcp = on_rtp, on_rtcp
        self._latch, self._rtcp_latch = SourceLatch(trusted), SourceLatch()
        self._now = now
        self._rtp_rate, self._rtcp_rate, self._stranger_rate = PacketRate(now), PacketRate(now), PacketRate(now)
        self._keys: SrtpContext | None = None
        self._warned = False
        self._sockets: list[socket.socket] = []
        """Bound, and not owned by a transport yet."""
        self._transports: list[asyncio.DatagramTransport] = []
        self._protocols: list[_Endpoint] = []
        self._bound: list[int] = []
        self._rtcp_port = 0

    async def open(self, host: str) -> int:
        """Bind the pair and return the RTP port. Raises :class:`bridge.media.engine.MediaError`."""
        pair = self._ports.bind_pair(host)
        self._sockets = [pair.rtp, pair.rtcp]
        self._bound = [bound.getsockname()[1] for bound in self._sockets]
        try:
            for receive in (self._rtp_received, self._rtcp_received):
                await self._listen(receive)
        except BaseException:
            await self.close()
            raise
        return self._bound[0]

    async def _listen(self, receive: Callable[[bytes, tuple[str, int]], None]) -> None:
        """Give the next socket a transport, which owns it from then on."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(lambda: _Endpoint(receive), sock=self._sockets[0])
        del self._sockets[0]
        self._transports.append(transport)
        self._protocols.append(protocol)

    def direct(self, remote: RemoteSip) -> bool:
        """Take the phone's address; `True` when it is a new one."""
        address = None if remote.host is None else (remote.host, remote.port)
        before = self._latch.target
        if address is not None:
            self._latch.signal(address)
            self._rtcp_port = remote.rtcp_port
        return address is not None and (before is None or before != self._latch.target)

    def secure(self, keys: SrtpContext | None) -> None:
        """Encrypt with these keys from now on, and take nothing else; `None` is audio in the clear."""
        self._keys = keys

    def _rtp_received(self, datagram: bytes, source: tuple[str, int]) -> None:
        if self._keys is not None:
            self._secure_rtp_received(self._keys, datagram, source)
        elif not self._latch.accept(source, self._now()):
            self._refuse(source)
        elif not self._rtp_rate.admits():
            self._discarded("rate")
        elif len(datagram) > MAX_DATAGRAM:
            self._discarded("malformed")
        else:
            self._on_rtp(datagram)

    def _secure_rtp_received(self, keys: SrtpContext, datagram: bytes, source: tuple[str, int]) -> None:
        """The key proves who sends: a phone may move without a new description, and nobody can take its place."""
        if self._latch.announced is None:
            self._discarded("source")
            return
        rate = self._rtp_rate if self._latch.is_phone(source) else self._stranger_rate
        if not rate.admits():
            self._discarded("rate")
            return
        plain = keys.unprotect(datagram, rtcp=False)
        if isinstance(plain, Refusal):
            self._discarded(plain)
            return
        self._latch.follow(source)
        self._on_rtp(plain)

    def _rtcp_received(self, datagram: bytes, source: tuple[str, int]) -> None:
        latch, target = self._reports(), self._latch.target
        here = target is not None and source[0] == target[0]
        if not here or (self._keys is None and not latch.accept(source, self._now())):
            self._discarded("source")
            return
        if not self._rtcp_rate.admits():
            self._discarded("rate")
            return
        plain = datagram if self._keys is None else self._keys.unprotect(datagram, rtcp=True)
        if isinstance(plain, Refusal):
            self._discarded(plain)
            return
        latch.follow(source)
        self._on_rtcp(plain)

    def _reports(self) -> SourceLatch:
        """The latch of RTCP, which comes from the host that RTP comes from, and from a port of its own."""
        target = self._latch.target
        self._rtcp_latch.signal(None if target is None else (target[0], self._rtcp_port))
        return self._rtcp_latch

    def _refuse(self, source: tuple[str, int]) -> None:
        """Count it, and say once in a call where the sound of a silent phone may have gone."""
        self._discarded("source")
        announced = self._latch.announced
        if self._warned or announced is None or announced[0] == source[0]:
            return
        self._warned = True
        self._log.warning("rtp_source_unexpected", source=Pii(source[0]), announced=Pii(announced[0]))

    def _discarded(self, reason: str) -> None:
        self._telemetry.count("rtp_discarded_total", reason=reason)

    def send(self, packet: bytes) -> bool:
        """Send RTP to where the phone sends from, or says that it listens."""
        return self._send(0, self._protected(packet, rtcp=False), self._latch.target)

    def send_rtcp(self, packet: bytes) -> bool:
        """Send RTCP."""
        return self._send(1, self._protected(packet, rtcp=True), self._reports().target)

    def _protected(self, packet: bytes, *, rtcp: bool) -> bytes | None:
        return packet if self._keys is None else self._keys.protect(packet, rtcp=rtcp)

    def _send(self, index: int, packet: bytes | None, target: tuple[str, int] | None) -> bool:
        if packet is None or target is None or index >= len(self._transports):
            return False
        transport = self._transports[index]
        if transport.is_closing():
            return False
        if cast(asyncio.WriteTransport, transport).get_write_buffer_size() > _MAX_WRITE_BUFFER:
            return False
        transport.sendto(packet, target)
        return True

    async def close(self) -> None:
        """Close the sockets and let their ports rest."""
        while self._sockets:
            self._sockets.pop().close()
        for transport in self._transports:
            transport.close()
        try:
            if self._protocols:
                await asyncio.wait([protocol.closed for protocol in self._protocols], timeout=STEP_LIMIT_S)
        finally:
            for transport in self._transports:
                transport.abort()
            self._give_back()

    def _give_back(self) -> None:
        self._transports.clear()
        self._protocols.clear()
        while self._bound:
            self._ports.give_back(self._bound.pop())
