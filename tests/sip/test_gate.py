"""The gate before the user agent: counted, logged now and then, and of no consequence for those who behave."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from structlog.testing import capture_logs

from bridge.core.floodgate import Floodgate
from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.io.gate import Gate
from bridge.sip.limiter import MAX_DATAGRAM
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import Transport, Trunk
from tests.clock import ManualClock
from tests.peers.process import free_port
from tests.sip.phone import LOOPBACK, CountingTelemetry, Phone, eventually
from tests.sip.scripted_peer import PEER, SDP, STRANGER, TRUNK, Scripted, peer_request

RATE = 10
FLOOD = 100


def gate() -> tuple[Gate, CountingTelemetry, ManualClock]:
    clock, telemetry = ManualClock(), CountingTelemetry(TRUNK)
    subject = Gate(Scripted().agent, requests_per_s=RATE, clock=clock, telemetry=telemetry, floodgate=Floodgate(clock))
    return subject, telemetry, clock


def flow(host: str = PEER) -> Flow:
    return Flow(transport=Transport.UDP, host=host, port=5060)


def test_what_is_dropped_is_counted_by_reason() -> None:
    subject, telemetry, _ = gate()
    assert subject.screen(b"\xff" * 100, flow()) is None
    assert subject.screen(bytes(peer_request("OPTIONS")), flow(STRANGER)) is None
    for _ in range(FLOOD):
        subject.screen(bytes(peer_request("OPTIONS")), flow())
    assert {name: count for name, count in telemetry.counts.items() if "dropped" in name} == {
        "sip_dropped_total reason=malformed": 1,
        "sip_dropped_total reason=acl": 1,
        "sip_dropped_total reason=rate": FLOOD - RATE,
    }


def test_a_datagram_that_should_have_come_by_a_stream_is_not_read() -> None:
    subject, telemetry, _ = gate()
    request = bytes(peer_request("OPTIONS", sdp="x" * MAX_DATAGRAM))
    assert subject.screen(request, replace(flow(), transport=Transport.TCP)) is not None
    assert subject.screen(request, flow()) is None
    assert telemetry.counts["sip_dropped_total reason=size"] == 1


def test_a_flood_writes_one_line_in_ten_seconds_and_says_how_many_it_stands_for() -> None:
    subject, _, clock = gate()
    with capture_logs() as lines:
        for _ in range(FLOOD):
            subject.screen(b"\xff" * 100, flow())
        clock.now += 11
        subject.screen(b"\xff" * 100, flow())
    assert [(line["reason"], line["suppressed"]) for line in lines] == [("malformed", 0), ("malformed", FLOOD - 1)]


def test_a_loop_that_stays_late_raises_the_level_and_it_is_told() -> None:
    subject, telemetry, clock = gate()
    with capture_logs() as lines:
        for lag_s in (0.0, 0.3, 0.3, 0.3):
            subject._take_measure(lag_s, clock.now)
            clock.now += 0.25
    assert telemetry.levels["sip_shed_level"] == 1
    assert [line["event"] for line in lines] == ["sip_shed_level_changed"]


async def _flood(subject: Phone, method: str, is_over: Callable[[int], bool]) -> list[Response]:
    """Many requests at once from one known address; what is answered until it is over."""
    loop = asyncio.get_running_loop()
    answers: list[Response] = []

    class Peer(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            message = parse_message(data)
            if isinstance(message, Response) and message.status != 100:
                answers.append(message)

    transport, _ = await loop.create_datagram_endpoint(Peer, remote_addr=(LOOPBACK, subject.port))
    try:
        for number in range(FLOOD):
            transport.sendto(_request(method, number))
        await eventually(lambda: is_over(len(answers)))
    finally:
        transport.close()
    return answers


def _request(method: str, number: int) -> bytes:
    request: Request = peer_request(method, branch=f"f{number}", call_id=f"flood-{number}", sdp=SDP)
    request.headers.set("Via", f"SIP/2.0/UDP {LOOPBACK}:9;branch=z9hG4bKf{number};rport")
    return bytes(request)


def _phone() -> Phone:
    subject = Phone(Trunk(name=TrunkName("trunk"), host=LOOPBACK, port=free_port()), on_event=lambda *_: None)
    subject.endpoint._settings = replace(subject.endpoint._settings, max_requests_per_s=RATE)
    return subject


async def test_a_known_address_that_floods_with_calls_gets_503_and_then_nothing() -> None:
    async with _phone() as subject:
        answers = await _flood(subject, "INVITE", lambda answered: answered + subject.endpoint.open_dialogs == FLOOD)
        assert {answer.status for answer in answers} == {503}
        assert all(5 <= int(answer.headers.get("Retry-After") or 0) <= 30 for answer in answers)
        assert subject.endpoint.open_dialogs <= 3 * RATE


async def test_a_known_address_that_floods_with_options_gets_few_answers() -> None:
    async with _phone() as subject:
        counts = subject.telemetry.counts
        answers = await _flood(
            subject, "OPTIONS", lambda answered: answered + counts["sip_dropped_total reason=rate"] == FLOOD
        )
        assert {answer.status for answer in answers} == {200}
        assert len(answers) <= 2 * RATE
