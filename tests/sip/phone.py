"""An endpoint with a script, for tests against real peers."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from typing import Self, TypeVar

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.events import CallReoffered, IncomingCall, OutgoingCall, SipEvent
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.io.resolver import Resolver
from bridge.sip.settings import Listener, SipSettings, TlsSettings, Transport, Trunk
from tests.patience import PATIENCE_S
from tests.peers.process import free_port
from tests.sip.declared import strict_telemetry

LOOPBACK = "127.0.0.1"
Wanted = TypeVar("Wanted", bound=SipEvent)


@functools.cache
def _deaf_port() -> int:
    """Where nothing listens as long as these tests run: what peers say to it disturbs nobody."""
    return free_port(span=2, kept=True)


def sdp(port: int | None = None) -> str:
    """An offer or answer of PCMU and PCMA; nobody hears the peer unless the test has a port of its own."""
    lines = ("v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0")
    media = (f"m=audio {port or _deaf_port()} RTP/AVP 0 8", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000")
    return "\r\n".join((*lines, *media, ""))


class CountingTelemetry:
    """Remembers what was counted, and refuses what no declaration allows."""

    def __init__(self, *trunks: TrunkName) -> None:
        self.counts: Counter[str] = Counter()
        self.levels: dict[str, float] = {}
        self._declared = strict_telemetry(*trunks)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._declared.count(name, amount, **labels)
        self.counts[_title(name, labels)] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        self._declared.observe(name, value, **labels)
        self.counts[_title(name, labels)] += 1

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self._declared.gauge(name, value, **labels)
        self.levels[_title(name, labels)] = value


def _title(name: str, labels: dict[str, str]) -> str:
    return name + "".join(f" {label}={value}" for label, value in sorted(labels.items()))


class Phone:
    """A started endpoint with one trunk; `async with` starts and stops it. Incoming calls ring and are answered."""

    def __init__(
        self,
        trunk: Trunk,
        *,
        transports: tuple[Transport, ...] = (),
        on_event: Callable[["Phone", SipEvent], None] | None = None,
        timer_t1_s: float = 0.5,
        tls: TlsSettings | None = None,
        host: str = LOOPBACK,
        resolver: Resolver | None = None,
        port: int = 0,
    ) -> None:
        listeners = [
            Listener(transport=transport, host=host, port=port) for transport in transports or (trunk.transport,)
        ]
        settings = SipSettings(
            listeners=tuple(listeners), trunks=(trunk,), timer_t1_s=timer_t1_s, tls=tls or TlsSettings()
        )
        self.trunk = trunk.name
        self.telemetry = CountingTelemetry(trunk.name)
        self.endpoint = SipEndpoint(
            settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=self.telemetry, resolver=resolver
        )
        self.events: list[SipEvent] = []
        self._react = on_event or answer_at_once
        self._changed = asyncio.Condition()
        self._waiters: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Of the first listener."""
        return self.endpoint.addresses[0].port

    async def __aenter__(self) -> Self:
        await self.endpoint.start(self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.endpoint.stop()
        await asyncio.gather(*self._waiters)

    def call(self, called: str, caller: str = "+15550199", *, sdp_text: str | None = None) -> DialogKey:
        """Place a call through the trunk."""
        call = OutgoingCall(trunk=TrunkName(self.trunk), called=called, caller=caller, sdp=sdp_text or sdp())
        return self.endpoint.invite(call)

    def of(self, kind: type[Wanted]) -> list[Wanted]:
        """All events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait(self, kind: type[Wanted], *, count: int = 1, limit_s: float = PATIENCE_S) -> Wanted:
        """Wait for the `count`-th event of a kind."""
        await self.wait_until(lambda: len(self.of(kind)) >= count, limit_s=limit_s)
        return self.of(kind)[count - 1]

    async def wait_until(self, true: Callable[[], bool], *, limit_s: float = PATIENCE_S) -> None:
        """Wait until something is so; it is looked at with every event."""
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"did not happen; saw {[type(event).__name__ for event in self.events]}") from None

    async def wait_trunk_up(self, *, up: bool = True) -> None:
        """Wait until the trunk is up, or down."""
        await eventually(lambda: self.endpoint.trunk_up(self.trunk) is up)

    def _take(self, event: SipEvent) -> None:
        self.events.append(event)
        self._react(self, event)
        task = asyncio.get_running_loop().create_task(self._notify())
        self._waiters.add(task)
        task.add_done_callback(self._waiters.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def eventually(true: Callable[[], bool], *, limit_s: float = PATIENCE_S) -> None:
    """Wait for a state that no event announces."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - the state belongs to the code under test, which owes the test no event
            await asyncio.sleep(0.01)


def ring(phone: Phone, event: SipEvent) -> None:
    """A callee that waits for its user, and goes along with changes."""
    match event:
        case IncomingCall(dialog=dialog):
            phone.endpoint.ring(dialog)
        case CallReoffered(dialog=dialog):
            phone.endpoint.accept(dialog, sdp())
        case _:
            pass


def answer_at_once(phone: Phone, event: SipEvent) -> None:
    """The simplest callee."""
    match event:
        case IncomingCall(dialog=dialog):
            phone.endpoint.ring(dialog)
            phone.endpoint.accept(dialog, sdp())
        case CallReoffered(dialog=dialog):
            phone.endpoint.accept(dialog, sdp())
        case _:
            pass
