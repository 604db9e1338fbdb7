"""The far end of a self-call: a user agent of its own that takes calls from this bridge alone, and sends back audio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bridge.app.probe.echo_phone import MAX_CALLS, EchoPhone, EchoPlace
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.media.rtp import RtpPacket
from bridge.media.sdp_sip import read_remote
from bridge.sip.events import CallAnswered, CallFailed, OutgoingCall, SipEvent
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk
from tests.media.phone import Phone
from tests.patience import PATIENCE_S

HOST = "127.0.0.1"
TRUNK = TrunkName("echo")


@dataclass(slots=True)
class Caller:
    """A user agent whose only trunk leads to the echo."""

    endpoint: SipEndpoint
    outcomes: "dict[DialogKey, asyncio.Future[CallAnswered | CallFailed]]" = field(default_factory=dict)

    def take(self, event: SipEvent) -> None:
        if isinstance(event, CallAnswered | CallFailed):
            self.outcomes[event.dialog].set_result(event)

    async def call(self, sdp: str) -> tuple[DialogKey, CallAnswered | CallFailed]:
        dialog = self.endpoint.invite(OutgoingCall(trunk=TRUNK, called="echo", caller="", sdp=sdp))
        self.outcomes[dialog] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE_S):
            return dialog, await self.outcomes[dialog]


@asynccontextmanager
async def calling_echo(transport: Transport) -> AsyncIterator[Caller]:
    clock, entropy = SystemClock(), SystemEntropy()
    phone = EchoPhone(EchoPlace(transport=transport, sip_host=HOST, rtp_host=HOST), entropy=entropy, clock=clock)
    port = await phone.start()
    settings = SipSettings(listeners=(Listener(transport=transport, host=HOST, port=0),))
    endpoint = SipEndpoint(settings, entropy=entropy, clock=clock, telemetry=NoTelemetry())
    endpoint.add_trunks([Trunk(name=TRUNK, host=HOST, port=port, transport=transport, internal=True)])
    caller = Caller(endpoint)
    await endpoint.start(caller.take)
    try:
        yield caller
    finally:
        await endpoint.stop()
        await phone.stop()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_audio_comes_back_to_who_sent_it_and_to_nobody_else(transport: Transport) -> None:
    first, second = await Phone.open(), await Phone.open()
    async with calling_echo(transport) as caller:
        _, answer = await caller.call(first.sdp("8"))
        assert isinstance(answer, CallAnswered)
        remote = read_remote(answer.sdp or "", allow_loopback=True, ip_version=4)
        first.target = second.target = (HOST, remote.port)
        first.send(b"\x55" * 160, 8)
        (packet,) = await first.received.count(1)
        second.send(b"\x55" * 160, 8)
        first.transport.sendto(b"\x80\xc8not audio but a report", first.target)
        first.transport.sendto(b"\x80", first.target)
        first.send(b"\x66" * 160, 8)
        packets: list[RtpPacket] = await first.received.count(2)
    assert packet.payload == b"\x55" * 160
    assert packet.ssrc != first.ssrc
    assert [each.sequence for each in packets] == [100, 101]
    assert not second.received.items
    await first.close()
    await second.close()


async def test_it_takes_few_calls_and_lets_go_of_them() -> None:
    phone = await Phone.open()
    async with calling_echo(Transport.UDP) as caller:
        dialogs = [(await caller.call(phone.sdp("8")))[0] for _ in range(MAX_CALLS)]
        _, refused = await caller.call(phone.sdp("8"))
        assert isinstance(refused, CallFailed)
        assert refused.status == 486
        caller.endpoint.bye(dialogs[0])
        async with asyncio.timeout(PATIENCE_S):
            while caller.endpoint.open_dialogs == MAX_CALLS:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        _, answer = await caller.call(phone.sdp("8"))
        assert isinstance(answer, CallAnswered)
    await phone.close()


async def test_what_it_cannot_answer_it_refuses() -> None:
    async with calling_echo(Transport.UDP) as caller:
        _, refused = await caller.call("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
        assert isinstance(refused, CallFailed)
        assert refused.status == 488
