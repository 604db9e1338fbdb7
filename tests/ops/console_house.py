"""A console without a bridge: its desk says what a test wants, and notes what the buttons ask for."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp

from bridge.core.clock import Clock, SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId, TrunkName
from bridge.ops.console.access import ConsoleSettings
from bridge.ops.console.console import Console, ConsoleParts
from bridge.ops.console.desk import AccountView, LiveCallView, SuspensionView, TrunkView
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.server import Heartbeat, OpsServer
from bridge.ops.traces.items import Kind, Way
from bridge.store.traces.file import TraceFile
from bridge.store.traces.reader import TraceReader
from bridge.store.traces.rows import TracedCall, TraceEntry

TOKEN = "a-token-for-the-console-0123456789"
CALL = CallId("7KdXr2mVtYqP3sLw9NbZ")
ALICE, PHONE = "@alice:example.org", "+15550100"
CARRIER, PBX = TrunkName("carrier"), TrunkName("pbx")
BEGUN = 1_764_300_000.0
LIMIT = aiohttp.ClientTimeout(total=10)


@dataclass
class StageDesk:
    """Implements `bridge.ops.console.desk.Desk`."""

    calls: list[LiveCallView] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    currency: str = "EUR"
    draining: bool = False

    shown: int = 60
    """How many of its calls it lists."""

    @property
    def live_count(self) -> int:
        return len(self._live)

    def live_calls(self) -> Sequence[LiveCallView]:
        return self._live[: self.shown]

    def live_call(self, call_id: CallId) -> LiveCallView | None:
        return next((call for call in self._live if call.call_id == call_id), None)

    @property
    def _live(self) -> list[LiveCallView]:
        return [call for call in self.calls if call.call_id not in self.ended]

    def trunks(self) -> Sequence[TrunkView]:
        def view(name: TrunkName, server: str, *, registers: bool) -> TrunkView:
            calls = sum(call.trunk == name for call in self._live)
            return TrunkView(
                name=name,
                server=server,
                registers=registers,
                registered=registers,
                answers=True,
                in_service=name not in self.out,
                calls=calls,
            )

        return [
            view(CARRIER, "tls sip.carrier.example", registers=True),
            view(PBX, "udp pbx.example.org", registers=False),
        ]

    def accounts(self) -> Sequence[AccountView]:
        return [
            AccountView(account=ALICE, day_minutes=12.5, day_cost=310_000, month_minutes=96.0, month_cost=4_230_000)
        ]

    def suspensions(self) -> Sequence[SuspensionView]:
        return [SuspensionView(user="@mallory:example.org", until=BEGUN + 86_400)]

    def end_call(self, call_id: CallId) -> bool:
        known = self.live_call(call_id) is not None
        self.ended.append(call_id)
        return known

    async def set_in_service(self, trunk: TrunkName, *, on: bool) -> bool:
        if trunk not in (CARRIER, PBX):
            return False
        (self.out.discard if on else self.out.add)(trunk)
        return True


class Browser:
    """A browser as far as cookies and forms go."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.session.get(path, **options) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, form: dict[str, str], **options: Any) -> tuple[int, str]:
        async with self.session.post(path, data=form, **options) as answer:
            return answer.status, await answer.text()

    async def log_in(self, token: str = TOKEN) -> tuple[int, str]:
        return await self.post("/console/login", {"token": token})

    async def csrf(self, path: str = "/console") -> str:
        """The word that the forms of a page carry."""
        _, text = await self.get(path)
        return text.partition('name="csrf" value="')[2].partition('"')[0]


@asynccontextmanager
async def serving(
    desk: StageDesk,
    traces: Path | None = None,
    *,
    token: str = TOKEN,
    proxies: Sequence[str] = (),
    clock: Clock | None = None,
) -> AsyncIterator[str]:
    """The ops port with a console; gives its address."""
    clock = clock or SystemClock()
    telemetry = PrometheusTelemetry(trunks=[CARRIER, PBX], version="1", strict=True)
    parts = ConsoleParts(
        settings=ConsoleSettings(token=token, proxies=[ip_network(proxy) for proxy in proxies]),
        desk=desk,
        traces=TraceReader(traces) if traces is not None else None,
        clock=clock,
        entropy=SystemEntropy(),
        telemetry=telemetry,
    )
    heartbeat = Heartbeat(clock=clock, telemetry=telemetry)
    server = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks={}, console=Console(parts))
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


@asynccontextmanager
async def browsing(address: str) -> AsyncIterator[Browser]:
    """A new browser."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(address, cookie_jar=jar, timeout=LIMIT) as session:
        yield Browser(session)


def counters(seconds: float, *, lost: int = 0, jitter_ms: float = 2.0) -> str:
    """Figures of a call's audio after some seconds."""
    legs = {
        leg: {
            "codec": codec,
            "packets_received": int(seconds * 50) - lost,
            "packets_lost": lost,
            "jitter_ms": jitter_ms,
        }
        for leg, codec in (("matrix", "OPUS"), ("sip", "PCMU"))
    }
    return json.dumps(legs)


def write_trace(path: Path, *, name: str = "their-call", title: str = "m.call.invite") -> None:
    """One call from beginning to end."""

    def step(kind: Kind, at: float, title: str, way: Way = Way.NONE, detail: str = "") -> TraceEntry:
        return TraceEntry(call_id=CALL, at=BEGUN + at, kind=kind, way=way, title=title, detail=detail)

    invite = f'INVITE sip:{PHONE}@pbx SIP/2.0\r\nFrom: "Alice" <sip:1@a>;tag=1\r\n\r\nm=audio 4000 RTP/AVP 0 8\r\n'
    file = TraceFile(path)
    file.write(
        calls=[
            TracedCall(
                call_id=CALL,
                began_at=BEGUN,
                ended_at=BEGUN + 61,
                direction="outbound",
                trunk=CARRIER,
                user=ALICE,
                number=PHONE,
                result="success",
                reason="completed",
                talk_s=58.2,
                ended_by="matrix",
                cost=120_000,
            )
        ],
        names=[(name, CALL)],
        entries=[
            step(Kind.MATRIX, -0.01, title, Way.IN, "OPUS PCMU, sendrecv"),
            step(Kind.STATE, 0.0, "new → preparing", detail="CallPermitted"),
            step(Kind.SIP, 0.03, "INVITE", Way.OUT, invite),
            step(Kind.SIP, 0.4, "180 Ringing (INVITE)", Way.IN, "SIP/2.0 180 Ringing"),
            step(Kind.SIP, 2.6, "200 OK (INVITE)", Way.IN, "SIP/2.0 200 OK\r\n\r\nm=audio 4000 RTP/AVP 0\r\n"),
            step(Kind.SIP, 2.61, "ACK", Way.OUT, "ACK sip:a SIP/2.0"),
            step(Kind.MATRIX, 2.65, "m.call.answer", Way.OUT, "OPUS, sendrecv"),
            step(Kind.MEDIA, 2.9, "connected"),
            step(Kind.STATE, 2.9, "connecting → connected", detail="MediaConnected"),
            *(
                step(Kind.AUDIO, 2.9 + at, "", detail=counters(at, lost=max(0, at - 20), jitter_ms=2 + at % 15))
                for at in range(0, 60, 5)
            ),
            step(Kind.MATRIX, 60.9, "m.call.hangup", Way.IN, "user_hangup"),
            step(Kind.SIP, 60.95, "BYE", Way.OUT, "BYE sip:a SIP/2.0"),
            step(Kind.SIP, 60.99, "200 OK (BYE)", Way.IN, "SIP/2.0 200 OK"),
            step(Kind.VERDICT, 61.0, "success: completed"),
        ],
    )
    file.close()
