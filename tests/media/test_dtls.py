"""DTLS with the stacks of every client: either certificate, either role, packets lost, strangers, and no success."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId
from bridge.media import dtls, g711
from bridge.media.dtls import Certificate, DtlsSession, IcePipe
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaConnected, MediaEnded, MediaEvent, MediaFailure
from bridge.media.sdp_matrix import Fingerprint
from bridge.media.settings import MediaSettings
from tests.media.counting import CountingTelemetry
from tests.media.lossy_path import LossyPath
from tests.media.phone import FRAME_S, Phone, tone_frames
from tests.media.placing import CALL
from tests.media.stranger import forged_client_hello
from tests.media.test_security import advertised_ports
from tests.media.waiting import Collected, counted
from tests.media.webrtc_stacks import DTLS_1_2, STACKS, Openssl, Stack, libwebrtc, openssl_certificate, rsa_key
from tests.patience import PATIENCE_S

SOUND = g711.ulaw_encode(tone_frames(440, 1)[0])
ANSWERED = {"actpass": "passive", "active": "passive", "passive": "active"}
FATAL_ALERT = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"
"""A handshake_failure without a key (RFC 5246 §7.2)."""
NHEKO, CHROME = "OpenSSL with RSA, like Nheko", "libwebrtc with ECDSA"


@pytest.fixture
async def peers() -> AsyncIterator[AsyncExitStack]:
    """Closes what is pushed."""
    async with AsyncExitStack() as closing:
        yield closing


@pytest.fixture(params=STACKS)
async def stack(request: pytest.FixtureRequest, peers: AsyncExitStack) -> Stack:
    return await fresh(request.param, peers)


async def fresh(name: str, peers: AsyncExitStack) -> Stack:
    """A stack of that name."""
    stack = await STACKS[name]()
    peers.push_async_callback(stack.close)
    return stack


async def talk(session: EmbeddedSession, stack: Stack, phone: Phone) -> None:
    """Both speak until both are heard: each has the key of the other."""
    await stack.connected()
    async with asyncio.timeout(PATIENCE_S):
        while not (session.stats().matrix.packets_received and await stack.hears()):
            phone.send(SOUND)
            await stack.speak()
            await asyncio.sleep(FRAME_S)


async def answer_of_ours(session: EmbeddedSession, offer: str, phone: Phone) -> str:
    """A client has called; gives what it is answered."""
    await session.set_matrix_offer(offer)
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    return await session.create_matrix_answer()


@pytest.mark.parametrize("setup", ANSWERED)
async def test_a_client_that_calls_is_left_to_begin_dtls_unless_it_waits_for_us(
    engine: EmbeddedEngine, phone: Phone, stack: Stack, setup: str
) -> None:
    session = await engine.open(CALL)
    offer = (await stack.offer()).replace("a=setup:actpass", f"a=setup:{setup}")
    answer = await answer_of_ours(session, offer, phone)
    assert f"a=setup:{ANSWERED[setup]}\r\n" in answer
    await stack.take_answer(answer)
    await talk(session, stack, phone)


@pytest.mark.parametrize("role", ["active", "passive"])
async def test_a_client_that_is_called_may_take_either_role(
    engine: EmbeddedEngine, phone: Phone, stack: Stack, role: str
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    assert "a=setup:actpass\r\n" in offer
    # Nothing else makes these stacks choose to wait.
    leaves_one = offer if role == "active" else offer.replace("a=setup:actpass", "a=setup:active")
    answer = await stack.answer(leaves_one)
    assert f"a=setup:{role}\r\n" in answer
    await session.set_matrix_answer(answer)
    phone.aim(await session.create_sip_answer())
    await talk(session, stack, phone)


@pytest.mark.parametrize("algorithm", ["ECDSA", "RSA"])
async def test_a_client_that_restarts_ice_keeps_its_keys_and_is_heard(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    peers: AsyncExitStack,
    algorithm: str,
) -> None:
    """The same certificates, so the same association (RFC 8842 §6)."""
    stack = await libwebrtc(algorithm)
    peers.push_async_callback(stack.close)
    session = await engine.open(CALL)
    first = await answer_of_ours(session, await stack.offer(), phone)
    await stack.take_answer(first)
    await talk(session, stack, phone)
    await session.set_matrix_offer(await stack.offer_on_another_network())
    second = await session.create_matrix_answer()
    assert fingerprint(second) == fingerprint(first)
    await stack.take_answer(second)
    async with asyncio.timeout(PATIENCE_S):
        while not telemetry.total("ice_restarts_total", result="success"):
            await stack.speak()
            await asyncio.sleep(FRAME_S)
    await is_heard_on(session, stack)
    assert events.items == [MediaConnected(call_id=CALL)]


async def is_heard_on(session: EmbeddedSession, stack: Stack) -> None:
    """The stack speaks, and five packets more can be decrypted."""
    before = session.stats().matrix.packets_received
    async with asyncio.timeout(PATIENCE_S):
        while session.stats().matrix.packets_received < before + 5:
            await stack.speak()
            await asyncio.sleep(FRAME_S)


def fingerprint(description: str) -> str:
    """Of the certificate that will be shown."""
    found = re.search(r"a=fingerprint:(\S+ \S+)", description)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("setup", ["active", "passive"])
@pytest.mark.parametrize("name", [CHROME, NHEKO])
async def test_a_third_of_the_handshake_may_be_lost(
    engine: EmbeddedEngine, peers: AsyncExitStack, name: str, setup: str
) -> None:
    async def connect(seed: int) -> int:
        phone = await Phone.open()
        peers.push_async_callback(phone.close)
        stack, session = await fresh(name, peers), await engine.open(CallId(f"call-{seed}"))
        offer = LossyPath.hidden(await stack.offer()).replace("a=setup:actpass", f"a=setup:{setup}")
        answer = await answer_of_ours(session, offer, phone)
        with LossyPath(answer, loss=0.3, seed=seed) as path:
            await stack.take_answer(path.shown(answer))
            await talk(session, stack, phone)
            return path.lost

    lost = await asyncio.gather(*(connect(seed) for seed in range(6)))
    assert sum(lost) >= 6


class Wire:
    """An ICE agent whose other end is the test."""

    def __init__(self) -> None:
        self.sent: Collected[bytes] = Collected()
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.recv = self.received.get
        self.ice_controlling = True

    async def send(self, datagram: bytes) -> None:
        self.sent.add(datagram)


async def test_a_flight_that_nothing_comes_back_for_goes_out_again_some_times_and_then_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dtls, "REPEAT_AFTER_S", 0.001)
    wire: Any = Wire()
    pipe = IcePipe(wire)
    reading = asyncio.create_task(pipe._recv())
    await pipe._send(b"flight")
    await wire.sent.count(1 + dtls.MOST_REPEATS)
    wire.received.put_nowait(b"answer")
    assert await reading == b"answer"
    assert wire.sent.items == [b"flight"] * (1 + dtls.MOST_REPEATS)
    await pipe._send(b"last")
    pipe.settle()
    wire.sent.clear()
    wire.received.put_nowait(b"record")
    assert await pipe._recv() == b"record"
    assert wire.sent.items == []


@pytest.mark.parametrize("turns", range(8))
async def test_a_handshake_can_be_given_up_in_the_moment_in_which_a_datagram_comes(turns: int) -> None:
    """Whatever step of taking it in has been reached, the cancellation is not forgotten."""
    wire: Any = Wire()
    session = DtlsSession(wire, Certificate.generateCertificate(), server=False)
    handshake = asyncio.create_task(session.handshake([Fingerprint(algorithm="sha-256", value="00")]))
    await wire.sent.count(1)
    for _ in range(4):
        await asyncio.sleep(0)
    wire.received.put_nowait(FATAL_ALERT.replace(b"\x02\x28", b"\x01\x5a"))  # user_canceled, which is only a warning
    for _ in range(turns):
        await asyncio.sleep(0)
    handshake.cancel()
    await asyncio.wait((handshake,), timeout=1)
    assert handshake.cancelled()
    await session.close()


async def test_a_certificate_that_was_not_announced_ends_the_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    stack: Stack,
) -> None:
    session = await engine.open(CALL)
    offer = re.sub(r"(a=fingerprint:\S+ )..:..", r"\g<1>00:00", await stack.offer())
    await stack.take_answer(await answer_of_ours(session, offer, phone))
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]
    assert telemetry.total("webrtc_not_connected_total", missing="dtls_refused") == 1


async def test_a_client_that_shares_no_suite_with_us_ends_its_call_without_waiting(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, peers: AsyncExitStack
) -> None:
    stack = Openssl(openssl_certificate(rsa_key(), suites="ECDHE-RSA-AES128-GCM-SHA256", newest=DTLS_1_2))
    peers.push_async_callback(stack.close)
    session = await engine.open(CALL)
    await stack.take_answer(await answer_of_ours(session, await stack.offer(), phone))
    await events.count(1, limit_s=15)  # half of what a silent one is given
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]


@pytest.mark.parametrize("forged", [forged_client_hello(), FATAL_ALERT], ids=["ClientHello", "alert"])
async def test_a_call_that_is_up_minds_no_handshake_from_elsewhere_nor_one_in_the_clients_name(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, peers: AsyncExitStack, forged: bytes
) -> None:
    """Neither has a key: RFC 6347 §4.1.2.7 has such records dropped."""
    stack, stranger = await fresh(NHEKO, peers), await Phone.open()
    assert isinstance(stack, Openssl)
    peers.push_async_callback(stranger.close)
    session = await engine.open(CALL)
    answer = await answer_of_ours(session, await stack.offer(), phone)
    await stack.take_answer(answer)
    await talk(session, stack, phone)
    for _ in range(5):
        for port in advertised_ports(answer):
            stranger.transport.sendto(forged, ("127.0.0.1", port))
        await stack.dtls.transport._send(forged)
    await is_heard_on(session, stack)
    assert events.items == [MediaConnected(call_id=CALL)]
    await counted(session, lambda stats: stats.off_path_dropped == 5)


async def test_a_client_whose_dtls_never_comes_is_given_up_in_time(
    settings: MediaSettings, events: Collected[MediaEvent], telemetry: CountingTelemetry, phone: Phone, stack: Stack
) -> None:
    """Its ICE works, so nothing else would end the call."""
    impatient = replace(settings, connect_timeout_s=0.5)
    engine = EmbeddedEngine(impatient, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    session = await engine.open(CALL)
    answer = await answer_of_ours(session, LossyPath.hidden(await stack.offer()), phone)
    with LossyPath.cut(answer) as path:
        await stack.take_answer(path.shown(answer))
        await events.count(1)
        assert path.lost
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]
    assert telemetry.total("webrtc_not_connected_total", missing="dtls") == 1
    await engine.stop()
