"""What a flood of SIP does to audio: packets pass the bridge every 20 ms while 10,000 datagrams a second hit it.

Three processes: the bridge (media engine on its thread, SIP endpoint on its loop), the flooder, and here the two ends
of the call and a trunk that goes on calling. The flood comes from a stranger, from a known address that asks for new
calls, and from one that pretends to speak inside calls.
"""

import argparse
import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import aioice.ice
import structlog

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId, TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.media.embedded import EmbeddedEngine
from bridge.media.rtp import RtpPacket
from bridge.media.settings import MediaSettings
from bridge.sip.events import IncomingCall, SipEvent
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk
from tests.media.browser import Browser
from tests.media.phone import FRAME, FRAME_S, Phone
from tests.peers.process import LOOPBACK
from tests.sip.scripted_peer import SDP, peer_request

Row = dict[str, str | float]

PER_S = 10_000
BATCH = 20
KNOWN, CALLER, STRANGER = "127.0.0.5", "127.0.0.6", "127.0.0.7"
FLOODS = {"stranger": (STRANGER, "INVITE"), "known_calls": (KNOWN, "INVITE"), "known_begun": (KNOWN, "BYE")}
"""Where each flood comes from, and what it consists of."""
SETTLE_PACKETS = 50
ANSWER_LIMIT_S = 10.0
_LIMIT_S = 30.0


@dataclass(slots=True, kw_only=True)
class Measured:
    """What the two ends of the audio and the trunk noticed."""

    sent: int = 0
    delays_s: list[float] = field(default_factory=list)
    setups_s: list[float] = field(default_factory=list)
    calls: int = 0

    def delay_ms(self, percent: int) -> float:
        """A percentile of how long packets took from end to end."""
        return round(quantiles(self.delays_s, n=100)[percent - 1] * 1e3, 2)


# The bridge.


async def serve() -> None:
    """Carry one call's audio and answer SIP calls until the input ends; one line in, one line out."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    engine = EmbeddedEngine(
        MediaSettings(webrtc_hosts=(LOOPBACK,), rtp_host=LOOPBACK),
        entropy=SystemEntropy(),
        clock=SystemClock(),
        telemetry=NoTelemetry(),
    )
    trunks = tuple(Trunk(name=TrunkName(f"t{host[-1]}"), host=host, port=5060) for host in (KNOWN, CALLER))
    listener = Listener(transport=Transport.UDP, host=LOOPBACK, port=0)
    settings = SipSettings(listeners=(listener,), trunks=trunks)
    endpoint = SipEndpoint(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=NoTelemetry())

    def take(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            endpoint.accept(event.dialog, SDP)

    await engine.start(lambda event: None)
    await endpoint.start(take)
    try:
        asked = json.loads(await _read_line())
        session = await engine.open(CallId("flooded"))
        await session.set_matrix_offer(asked["offer"])
        told = {"port": endpoint.addresses[0].port, "sip": await session.create_sip_offer()}
        await session.set_sip_answer(asked["phone"])
        told["answer"] = await session.create_matrix_answer()
        print(json.dumps(told), flush=True)
        await _read_line()
        await session.close()
    finally:
        await endpoint.stop()
        await engine.stop()


async def _read_line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


# The flood.


def flood(port: int, kind: str, seconds: float) -> None:
    """Send at an even rate, in small batches."""
    host, method = FLOODS[kind]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((host, 0))
    template = bytes(_request(method, host, "0000000", to_tag="x" if method == "BYE" else ""))
    start = time.monotonic()
    for number in range(int(seconds * PER_S)):
        if number % BATCH == 0:
            time.sleep(max(0.0, start + number / PER_S - time.monotonic()))
        sender.sendto(template.replace(b"0000000", b"%07d" % number), (LOOPBACK, port))


def _request(method: str, host: str, name: str, *, to_tag: str = "") -> Request:
    request = peer_request(method, branch=name, call_id=name, to_tag=to_tag, sdp=SDP if method == "INVITE" else None)
    request.headers.set("Via", f"SIP/2.0/UDP {host}:5060;branch=z9hG4bK{method}{name};rport")
    return request


# Both ends.


async def measure(kind: str, seconds: float) -> Measured:
    """Pass audio for so long, under one flood or none."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]
    browser, phone = Browser(), await Phone.open()
    try:
        async with _process("--serve") as bridge:
            port = await _connect(bridge, browser, phone)
            measured = await _measure(port, kind, seconds, browser, phone)
            _input(bridge).write(b"\n")
            await asyncio.wait_for(bridge.wait(), _LIMIT_S)
    finally:
        await browser.close()
        await phone.close()
    return measured


async def _connect(bridge: asyncio.subprocess.Process, browser: Browser, phone: Phone) -> int:
    asked = {"offer": await browser.offer(), "phone": phone.sdp("0")}
    _input(bridge).write(json.dumps(asked).encode() + b"\n")
    if bridge.stdout is None:
        raise RuntimeError("the bridge has no output")
    told: dict[str, Any] = json.loads(await asyncio.wait_for(bridge.stdout.readline(), _LIMIT_S))
    phone.aim(told["sip"])
    await browser.take_answer(told["answer"])
    await browser.connected()
    return int(told["port"])


async def _measure(port: int, kind: str, seconds: float, browser: Browser, phone: Phone) -> Measured:
    measured = Measured()
    await _talk(browser, phone, SETTLE_PACKETS, Measured())
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(_call_on(port, measured))
        if kind in FLOODS:
            async with _process("--flood", kind, "--port", str(port), "--seconds", str(seconds)):
                await _talk(browser, phone, int(seconds / FRAME_S), measured)
        else:
            await _talk(browser, phone, int(seconds / FRAME_S), measured)
        calling.cancel()
    return measured


async def _talk(browser: Browser, phone: Phone, count: int, measured: Measured) -> None:
    """The phone speaks; each packet carries its number, so that its delay can be told."""
    loop = asyncio.get_running_loop()
    sent_at: dict[bytes, float] = {}
    before = len(browser.received.items)
    arrived = _arrivals(browser)
    start = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number * FRAME_S - loop.time()))
        payload = b"%08d" % number + b"\xff" * (FRAME - 8)
        sent_at[payload] = time.monotonic()
        phone.send(payload)
    measured.sent += count
    await asyncio.sleep(0.5)
    for packet in browser.received.items[before:]:
        if packet.payload in sent_at:
            measured.delays_s.append(arrived[packet.payload] - sent_at[packet.payload])


def _arrivals(browser: Browser) -> dict[bytes, float]:
    """When each payload came in."""
    arrived: dict[bytes, float] = {}
    take = browser.received.add

    def note(packet: RtpPacket) -> None:
        arrived.setdefault(packet.payload, time.monotonic())
        take(packet)

    browser.received.add = note  # type: ignore[method-assign, assignment]
    return arrived


async def _call_on(port: int, measured: Measured) -> None:
    """A trunk that behaves: one call after the other, each hung up when it was answered."""
    loop = asyncio.get_running_loop()
    caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    caller.setblocking(False)
    caller.bind((CALLER, 0))
    caller.connect((LOOPBACK, port))
    try:
        while True:
            measured.calls += 1
            name, start = f"legit{measured.calls}", loop.time()
            answer = await _ask(caller, _request("INVITE", CALLER, name))
            measured.setups_s.append(loop.time() - start)
            tag = answer.to.tag or ""
            caller.send(bytes(_request("ACK", CALLER, name, to_tag=tag)))
            await _ask(caller, _request("BYE", CALLER, name, to_tag=tag))
            await asyncio.sleep(0.1)
    finally:
        caller.close()


async def _ask(caller: socket.socket, request: Request) -> Response:
    """Send until answered, as a transaction would (RFC 3261 §17.1)."""
    async with asyncio.timeout(ANSWER_LIMIT_S):
        while True:
            caller.send(bytes(request))
            try:
                async with asyncio.timeout(0.5):
                    return await _final(caller, request.via.branch or "")
            except TimeoutError:
                continue


async def _final(caller: socket.socket, branch: str) -> Response:
    while True:
        message = parse_message(await asyncio.get_running_loop().sock_recv(caller, 65_535))
        if isinstance(message, Response) and message.status >= 200 and message.via.branch == branch:
            return message


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """This module in a process of its own, ended whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.flood", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _input(process: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise RuntimeError("the process has no input")
    return process.stdin


def run(seconds: float = 5.0) -> list[Row]:
    """Measure without and with each flood; one row for each figure."""
    rows: list[Row] = []
    for kind in ("none", *FLOODS):
        measured = asyncio.run(measure(kind, seconds))
        figures = {
            "audio_delay_p50": (measured.delay_ms(50), "ms"),
            "audio_delay_p99": (measured.delay_ms(99), "ms"),
            "audio_lost": (measured.sent - len(measured.delays_s), "packets"),
            "call_setup_max": (round(max(measured.setups_s, default=0.0) * 1e3, 1), "ms"),
            "calls_unanswered": (max(0, measured.calls - len(measured.setups_s) - 1), "calls"),
        }
        rows += [{"name": f"{kind}_{name}", "value": value, "unit": unit} for name, (value, unit) in figures.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--flood", choices=FLOODS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.flood:
        flood(options.port, options.flood, options.seconds)
    else:
        for row in run(options.seconds):
            print(f"{row['name']:<32} {row['value']:>12} {row['unit']}")


if __name__ == "__main__":
    main()
