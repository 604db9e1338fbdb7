"""A phone inside the bridge that takes every call and sends back what it hears: the far end of a self-call.

It has sockets of its own, so that what goes to it is on the wire as to any trunk: INVITE over UDP or TCP, audio as RTP.
"""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, cast

import structlog

from bridge.config import Config
from bridge.core.addresses import is_every
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.media import sdp, sdp_sip
from bridge.media.ice import machine_addresses
from bridge.media.negotiation import sip_answer_formats
from bridge.media.rtp import HEADER_SIZE, MAX_DATAGRAM, is_rtcp
from bridge.media.sdp_sip import LocalSip
from bridge.media.settings import PathChoice
from bridge.sip.events import CallCancelled, CallEnded, IncomingCall, SipEvent
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk

MAX_CALLS = 2
"""One at a time is placed; another may still be ending."""
_BUSY, _UNACCEPTABLE = 486, 488
_BRIDGE = TrunkName("bridge")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoPlace:
    """Where the phone has its sockets."""

    transport: Transport
    sip_host: str
    rtp_host: str

    @classmethod
    def of(cls, config: Config) -> "EchoPlace | None":
        """Beside a listener of ours, and beside our audio; `None` where we listen for nothing but TLS."""
        plain = (entry for entry in config.sip.listen if entry.transport in (Transport.UDP, Transport.TCP))
        listener = next(plain, None)
        if listener is None:
            return None
        loopback = "::1" if ip_address(listener.host).version == 6 else "127.0.0.1"
        sip_host = loopback if is_every(listener.host) else listener.host
        return cls(transport=listener.transport, sip_host=sip_host, rtp_host=_rtp_host(config))


def _rtp_host(config: Config) -> str:
    """An address that our audio reaches: its own, or one of the machine where it has all of them or is elsewhere."""
    ours = config.media.rtp_host
    if not is_every(ours) and config.media.engine is not PathChoice.RTPENGINE:
        return ours
    version = ip_address(ours).version
    return next((host for host in machine_addresses() if ip_address(host).version == version), ours)


class EchoAudio(asyncio.DatagramProtocol):
    """Sends each packet of audio back to where it came from, under a source of its own; to one sender only."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc.to_bytes(4, "big")
        self._sender: tuple[Any, ...] | None = None
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self._sender is None:
            self._sender = addr
        if addr != self._sender or self.transport is None or is_rtcp(data):
            return
        if HEADER_SIZE <= len(data) <= MAX_DATAGRAM and data[0] >> 6 == 2:
            self.transport.sendto(data[:8] + self._ssrc + data[12:], addr)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.transport.get_extra_info("sockname")[1]) if self.transport is not None else 0


class EchoPhone:
    """`start` it and give the address to the trunk that leads here."""

    def __init__(self, place: EchoPlace, *, entropy: Entropy, clock: Clock) -> None:
        self._place, self._entropy = place, entropy
        settings = SipSettings(
            listeners=(Listener(transport=place.transport, host=place.sip_host, port=0),),
            user_agent="Trunkline echo",
            trunks=(
                Trunk(
                    name=_BRIDGE,
                    host=place.sip_host,
                    transport=place.transport,
                    sources=tuple(map(ip_network, {place.sip_host, *machine_addresses()})),
                ),
            ),
        )
        self._endpoint = SipEndpoint(settings, entropy=entropy, clock=clock, telemetry=NoTelemetry())
        self._calls: dict[DialogKey, EchoAudio | None] = {}
        """With `None` until the socket is open."""
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen, and return the port. Raises :class:`bridge.sip.io.endpoint.EndpointError`."""
        await self._endpoint.start(self._handle)
        return self._endpoint.addresses[0].port

    async def stop(self) -> None:
        """Hang up and close everything."""
        await self._endpoint.stop()
        for task in tuple(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        for dialog in tuple(self._calls):
            self._forget(dialog)

    def _handle(self, event: SipEvent) -> None:
        match event:
            case IncomingCall() if len(self._calls) >= MAX_CALLS:
                self._endpoint.reject(event.dialog, _BUSY)
            case IncomingCall():
                self._calls[event.dialog] = None
                task = asyncio.create_task(self._answer(event))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case CallEnded() | CallCancelled():
                self._forget(event.dialog)
            case _:
                return

    async def _answer(self, call: IncomingCall) -> None:
        self._endpoint.ring(call.dialog)
        try:
            description = await self._open(call)
        except (sdp.SdpError, OSError) as error:
            _log.warning("echo_not_answered", detail=str(error))
            self._calls.pop(call.dialog, None)
            self._endpoint.reject(call.dialog, _UNACCEPTABLE)
        else:
            self._endpoint.accept(call.dialog, description)

    async def _open(self, call: IncomingCall) -> str:
        host = self._place.rtp_host
        version = ip_address(host).version
        remote = sdp_sip.read_remote(call.sdp or "", allow_loopback=True, ip_version=version)
        _, audio = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: EchoAudio(self._entropy.integer(1, 0xFFFFFFFF)), local_addr=(host, 0)
        )
        if call.dialog in self._calls:
            self._calls[call.dialog] = audio
        elif audio.transport is not None:
            audio.transport.close()
        local = LocalSip(host=host, port=audio.port, session=self._entropy.integer(1, 1 << 61), version=1)
        return sdp_sip.write_answer(remote, local, sip_answer_formats(remote, None, None))

    def _forget(self, dialog: DialogKey) -> None:
        audio = self._calls.pop(dialog, None)
        if audio is not None and audio.transport is not None:
            audio.transport.close()
