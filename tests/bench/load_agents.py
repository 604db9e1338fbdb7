"""The programs under load, each a process of its own on one core: `python -m tests.bench.load_agents KIND TRANSPORT …`.

A program writes one JSON object a line: first the port that it listens on, at its end what the calls have cost.
"""

import asyncio
import gc
import importlib
import ipaddress
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import TrunkName
from bridge.ops.metrics import PrometheusTelemetry
from bridge.sip.events import (
    CallAnswered,
    CallEnded,
    CallFailed,
    IncomingCall,
    OutgoingCall,
    SipEvent,
)
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk
from tests.peers.process import LOOPBACK

OUR_CORE = 0
PEER_CORE = 1
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
)
_TRUNK = TrunkName("sipp")
_TICK_S = 0.005
_DRAIN_S = 8.0
_STATUSES = {b"INV": (b"100 Trying", b"180 Ringing", b"200 OK"), b"BYE": (b"200 OK",)}


class Meter:
    """Processor time and memory of this process."""

    def __init__(self) -> None:
        self._started_s = time.process_time()
        self.calls = 0
        self.failed = 0

    def report(self, **more: float) -> None:
        """Print what the calls have cost so far."""
        cpu_us = (time.process_time() - self._started_s) / max(self.calls, 1) * 1e6
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(calls=self.calls, failed=self.failed, cpu_us=cpu_us, memory_mb=memory_mb, **more)


def say(**values: float) -> None:
    """Tell the benchmark."""
    print(json.dumps(values), flush=True)


def _endpoint(transport: Transport, peer_port: int) -> SipEndpoint:
    trunk = Trunk(
        name=_TRUNK,
        host=LOOPBACK,
        port=peer_port,
        transport=transport,
        sources=(ipaddress.ip_network(f"{LOOPBACK}/32"),),
    )
    listener = Listener(transport=transport, host=LOOPBACK, port=0)
    settings = SipSettings(listeners=(listener,), trunks=(trunk,), max_requests_per_s=0)
    telemetry = PrometheusTelemetry(trunks=(_TRUNK,), version="bench", strict=True)
    return SipEndpoint(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)


async def callee(transport: str) -> None:
    """Our user agent rings and answers each call at once, as the application does when everybody is quick."""
    endpoint = _endpoint(Transport(transport), 5060)
    meter = Meter()

    def on_event(event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog):
                endpoint.ring(dialog)
                endpoint.accept(dialog, SDP)
            case CallEnded():
                meter.calls += 1

    await endpoint.start(on_event)
    _settle()
    say(port=endpoint.addresses[0].port)
    await _until_told()
    meter.report(transactions=endpoint.open_transactions, dialogs=endpoint.open_dialogs)


async def caller(transport: str, port: str, rate: str, calls: str) -> None:
    """Our user agent calls at an even pace and hangs up when it is answered."""
    endpoint = _endpoint(Transport(transport), int(port))
    meter = Meter()

    def on_event(event: SipEvent) -> None:
        match event:
            case CallAnswered(dialog=dialog):
                endpoint.bye(dialog)
                meter.calls += 1
            case CallFailed():
                meter.failed += 1

    await endpoint.start(on_event)
    _settle()
    started_s = time.monotonic()
    await _place(endpoint, float(rate), int(calls))
    placed_s = time.monotonic() - started_s
    while meter.calls + meter.failed < int(calls) or endpoint.open_dialogs:
        if time.monotonic() - started_s - placed_s > _DRAIN_S:
            break
        await asyncio.sleep(_TICK_S)
    meter.report(rate=int(calls) / placed_s)


async def _place(endpoint: SipEndpoint, rate: float, calls: int) -> None:
    """A tick that comes late places what it owes."""
    started_s, placed = time.monotonic(), 0
    while placed < calls:
        due = min(calls, int((time.monotonic() - started_s) * rate) + 1)
        for number in range(placed, due):
            called = f"+1555{number:07}"
            endpoint.invite(OutgoingCall(trunk=_TRUNK, called=called, caller="+493012345", sdp=SDP))
        placed = due
        await asyncio.sleep(_TICK_S)


async def echo(transport: str) -> None:
    """The floor: a bare socket that sends as many datagrams back as a callee does, and reads nothing but the method."""
    meter = Meter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.setblocking(False)
        bound.bind((LOOPBACK, 0))

        def on_readable() -> None:
            payload, address = bound.recvfrom(65_535)
            request_line, _, rest = payload.partition(b"\r\n")
            for status in _STATUSES.get(request_line[:3], ()):
                bound.sendto(b"SIP/2.0 " + status + b"\r\n" + rest, address)
            meter.calls += request_line.startswith(b"BYE")

        asyncio.get_running_loop().add_reader(bound, on_readable)
        say(port=bound.getsockname()[1])
        await _until_told()
    meter.report()


async def aiosipua_callee(transport: str) -> None:
    """The callee of that package, answering in the same way."""
    package: Any = importlib.import_module("aiosipua")
    meter = Meter()
    port = _free_port(transport)
    kind = package.UdpSipTransport if transport == "udp" else package.TcpSipTransport
    agent = package.SipUAS(kind(local_addr=(LOOPBACK, port)))

    def on_invite(call: Any) -> None:
        call.ringing()
        call.accept(package.parse_sdp(SDP))

    def on_bye(call: Any, request: Any) -> None:
        meter.calls += 1

    agent.on_invite, agent.on_bye = on_invite, on_bye
    await agent.start()
    _settle()
    say(port=port)
    await _until_told()
    meter.report()


def _free_port(transport: str) -> int:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as bound:
        bound.bind((LOOPBACK, 0))
        port: int = bound.getsockname()[1]
        return port


def _settle() -> None:
    """As the bridge does once it has started."""
    gc.collect()
    gc.freeze()


async def _until_told() -> None:
    """Until standard input ends."""
    done = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), done.set)
    await done.wait()


AGENTS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "callee": callee,
    "caller": caller,
    "echo": echo,
    "aiosipua_callee": aiosipua_callee,
}


def main(kind: str, *arguments: str) -> None:
    """Run one agent on its core."""
    os.sched_setaffinity(0, {OUR_CORE})
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    asyncio.run(AGENTS[kind](*arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
