"""Several servers: who takes a call, and what becomes of calls when one of them goes."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media.engine import MediaEnded, MediaError, MediaEvent, MediaFailure
from bridge.media.rtpengine import pulse, servers
from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.rtpengine.ng import Reply, ServerRefusedError, ServerSilentError
from bridge.media.rtpengine.servers import Fleet, Server
from bridge.media.rtpengine.session import RtpengineSession
from bridge.media.settings import MediaSettings, PathChoice, ServerAddress
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.media.rtpengine.conftest import Serve
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.peers.rtpengine import Rtpengine
from tests.sip.phone import eventually


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(servers, "CALLS_LOST_AFTER_S", 0.2)
    monkeypatch.setattr(pulse, "_CONNECTED_EVERY_S", 0.1)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Rtpengine, Rtpengine]]:
    async with Rtpengine(tmp_path, name="first") as first, Rtpengine(tmp_path, name="second") as second:
        yield first, second


@pytest.fixture
def settings(two: tuple[Rtpengine, Rtpengine]) -> MediaSettings:
    return MediaSettings(engine=PathChoice.RTPENGINE, rtpengines=tuple(server.address for server in two))


async def called(engine: RtpengineEngine, phone: Phone, number: int) -> RtpengineSession:
    """A call to a phone alone."""
    session = await engine.open(CallId(f"call-{number}"))
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    return session


def places(*sessions: RtpengineSession) -> list[int]:
    """The numbers of the servers that carry them."""
    return [session._control.server.number for session in sessions if session._control.server is not None]


async def test_each_new_call_goes_to_the_least_busy_server(
    engine: RtpengineEngine, telemetry: CountingTelemetry, phone: Phone
) -> None:
    sessions = [await called(engine, phone, number) for number in range(4)]
    assert sorted(places(*sessions)) == [1, 1, 2, 2]
    leaving = next(session for session in sessions if places(session) == [2])
    await leaving.close()
    assert places(await called(engine, phone, 5)) == [2]
    assert engine.ready


async def test_calls_of_a_server_that_dies_end_and_new_ones_go_to_the_other(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    two: tuple[Rtpengine, Rtpengine],
    phone: Phone,
) -> None:
    sessions = [await called(engine, phone, number) for number in range(2)]
    lost = next(session for session in sessions if places(session) == [1])
    await two[0].crash()
    assert places(await called(engine, phone, 3)) == [2]
    await events.count(1)
    assert events.items == [MediaEnded(call_id=lost.call_id, failure=MediaFailure.SERVER_LOST)]
    await lost.close()
    assert engine.ready
    await two[0].start()
    await eventually(lambda: engine._fleet.servers[0].alive)
    assert places(await called(engine, phone, 4)) == [1]
    assert len(events.items) == 1


async def test_calls_that_a_server_forgot_by_starting_anew_end(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    two: tuple[Rtpengine, Rtpengine],
    phone: Phone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "CALLS_LOST_AFTER_S", 60)
    sessions = [await called(engine, phone, number) for number in range(2)]
    lost = next(session for session in sessions if places(session) == [1])
    await two[0].crash()
    await two[0].start()
    await events.count(1)
    assert events.items == [MediaEnded(call_id=lost.call_id, failure=MediaFailure.SERVER_LOST)]


async def test_a_full_server_is_passed_over_until_all_are_full(
    serve: Serve, tmp_path: Path, telemetry: CountingTelemetry, phone: Phone
) -> None:
    async with (
        Rtpengine(tmp_path, name="small", options=("--max-sessions=1",)) as small,
        Rtpengine(tmp_path, name="drained", options=("--max-sessions=0",)) as drained,
    ):
        engine = await serve(MediaSettings(engine=PathChoice.RTPENGINE, rtpengines=(small.address, drained.address)))
        assert places(await called(engine, phone, 1)) == [1]
        with pytest.raises(MediaError) as refused:
            await called(engine, phone, 2)
        assert refused.value.verdict.reason == "media_exhausted"
        assert telemetry.total("media_server_requests_total", result="full", server="2") > 0


async def test_without_any_server_there_are_no_calls_and_the_engine_says_so(serve: Serve) -> None:
    nobody = MediaSettings(engine=PathChoice.RTPENGINE, rtpengines=(ServerAddress(host=LOOPBACK, port=9),))
    engine = await serve(nobody)
    assert not engine.ready
    with pytest.raises(MediaError):
        await engine.open(CallId("call-1"))


async def test_a_server_whose_name_is_not_known_yet_keeps_no_bridge_from_starting(
    serve: Serve, settings: MediaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, there = asyncio.get_running_loop(), settings.rtpengines[1]
    connect, known = loop.create_datagram_endpoint, set[str]()

    async def connecting(protocol: Any, remote_addr: tuple[str, int], **named: Any) -> Any:
        if remote_addr[0] == "media.example":
            if remote_addr[0] not in known:
                raise socket.gaierror("Name or service not known")
            remote_addr = there.host, there.port
        return await connect(protocol, remote_addr=remote_addr, **named)

    monkeypatch.setattr(loop, "create_datagram_endpoint", connecting)
    named = ServerAddress(host="media.example", port=there.port)
    engine = await serve(replace(settings, rtpengines=(settings.rtpengines[0], named)))
    assert [server.alive for server in engine._fleet.servers] == [True, False]
    known.add("media.example")
    await eventually(lambda: all(server.alive for server in engine._fleet.servers))


async def test_a_server_that_is_gone_does_not_keep_a_call_from_ending(
    engine: RtpengineEngine, two: tuple[Rtpengine, Rtpengine], phone: Phone
) -> None:
    session = await called(engine, phone, 1)
    for server in two:
        await server.crash()
    async with asyncio.timeout(PATIENCE_S):
        await session.close()
        await session.close()


async def test_a_call_that_ended_while_its_server_was_away_is_ended_there_as_soon_as_it_is_back(
    engine: RtpengineEngine, two: tuple[Rtpengine, Rtpengine], phone: Phone
) -> None:
    session = await called(engine, phone, 1)
    (number,) = places(session)
    server, process = engine._fleet.servers[number - 1], two[number - 1]
    process.signal(signal.SIGSTOP)
    server.alive = False
    await session.close()
    assert list(server.owed) == [session.key]
    process.signal(signal.SIGCONT)
    await eventually(lambda: server.alive and not server.owed)
    with pytest.raises(ServerRefusedError):
        await server.client.request("query", **{"call-id": session.key})


class FakeClock(SystemClock):
    """Time as the test says."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def fleet() -> tuple[Fleet, FakeClock]:
    clock = FakeClock()
    address = ServerAddress(host=LOOPBACK, port=9)
    return Fleet([address, address], entropy=SystemEntropy(), clock=clock, telemetry=CountingTelemetry()), clock


def test_what_servers_do_is_counted_from_zero() -> None:
    """A rate over a series that appears with its first refusal would miss that one."""
    telemetry, address = CountingTelemetry(), ServerAddress(host=LOOPBACK, port=9)
    Fleet([address], entropy=SystemEntropy(), clock=FakeClock(), telemetry=telemetry)
    begun = [dict(labels) for name, labels in telemetry.counts if name == "media_server_requests_total"]
    assert {labels["server"] for labels in begun} == {"1"}
    assert {labels["result"] for labels in begun} == {"ok", "refused", "full", "silent"}


def test_one_lost_answer_is_no_reason_to_pass_a_server_over(fleet: tuple[Fleet, FakeClock]) -> None:
    servers_of, _ = fleet
    first, second = servers_of.servers
    for server in (first, second):
        servers_of.answered(server)
    servers_of.missed(first, ServerSilentError("no answer"))
    assert {server.number for server in servers_of.in_order()} == {1, 2}
    servers_of.missed(first, ServerSilentError("no answer"))
    assert [server.number for server in servers_of.in_order()] == [2]
    servers_of.answered(first)
    assert {server.number for server in servers_of.in_order()} == {1, 2}


async def test_a_server_whose_answer_is_lost_is_told_that_the_call_went_elsewhere(
    fleet: tuple[Fleet, FakeClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers_of, _ = fleet
    first, second = servers_of.servers
    asked: list[tuple[int, str]] = []
    silent = {1, 2}

    def answer_as(server: Server) -> None:
        async def request(command: str, **arguments: object) -> Reply:
            asked.append((server.number, command))
            if server.number in silent and command == "offer":
                raise ServerSilentError("no answer")
            return {"sdp": b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"}

        async def already() -> None:
            return None

        monkeypatch.setattr(server.client, "request", request)
        monkeypatch.setattr(server.client, "open", already)

    for server in (first, second):
        answer_as(server)
        servers_of.answered(server)
    second.sessions = 1
    control = CallControl("call-1", servers_of, CountingTelemetry(), learns_sources=False)
    with pytest.raises(MediaError):
        await control.offer("p1", "x2", "", {})
    assert [list(server.owed) for server in (first, second)] == [["call-1"], ["call-1"]]
    silent.remove(2)
    await control.offer("p1", "x2", "", {})
    assert control.server is second
    assert [list(server.owed) for server in (first, second)] == [["call-1"], []]
    await servers_of.look_at(first, weigh=False)
    assert asked[-2:] == [(1, "ping"), (1, "delete")]
    assert not first.owed


def test_calls_are_given_up_once_for_each_time_that_a_server_is_away(
    fleet: tuple[Fleet, FakeClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CALLS_LOST_AFTER_S", 10.0)
    servers_of, clock = fleet
    server = servers_of.servers[0]
    servers_of.answered(server)
    for clock.now in (100.0, 102.0):
        servers_of.missed(server, ServerSilentError("no answer"))
    assert not server.is_given_up(109.0)
    assert server.is_given_up(111.0)
    assert not server.is_given_up(112.0)
    servers_of.answered(server)
    assert not server.is_given_up(200.0)


def test_a_servers_own_count_of_sessions_decides_beside_ours() -> None:
    server = Server(1, ServerAddress(host=LOOPBACK, port=9), SystemEntropy())
    server.sessions = 2
    server.weigh({"statistics": {"currentstatistics": {"sessionstotal": 12}}})
    assert server.load == 12
    server.sessions = 3
    assert server.load == 13
    server.weigh({})
    server.weigh({"statistics": 1})
    server.weigh({"statistics": {"currentstatistics": {"sessionstotal": b"x"}}})
    assert server.load == 13
