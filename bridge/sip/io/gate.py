"""The gate in front of the user agent: what it lets through, counts, and says in the log."""

import asyncio

import structlog

from bridge.core.clock import Clock
from bridge.core.floodgate import Floodgate
from bridge.core.telemetry import Telemetry
from bridge.sip.actions import Flow, Received
from bridge.sip.limiter import MAX_DATAGRAM, Limiter, Verdict
from bridge.sip.overload import Overload
from bridge.sip.parser import MAX_MESSAGE
from bridge.sip.user_agent import UserAgent

MEASURE_EVERY_S = 0.25

_log = structlog.get_logger()


class Gate:
    """Asks the limiter about each message, and measures what the limiter goes by."""

    def __init__(
        self, core: UserAgent, *, requests_per_s: int, clock: Clock, telemetry: Telemetry, floodgate: Floodgate
    ) -> None:
        self._core = core
        self._clock = clock
        self._telemetry = telemetry
        self._floodgate = floodgate
        self._overload = Overload()
        self._limiter = Limiter(requests_per_s=requests_per_s, admits=core.admits, overload=self._overload)

    def screen(self, payload: bytes, flow: Flow) -> Received | None:
        """The input for the user agent; `None` when the message is not to be read."""
        longest = MAX_MESSAGE if flow.reliable else MAX_DATAGRAM
        match self._limiter.judge(payload, flow.host, self._clock.monotonic(), longest=longest):
            case Verdict.READ:
                return Received(payload=payload, flow=flow)
            case Verdict.REFUSE_RATE:
                return Received(payload=payload, flow=flow, refused="rate")
            case Verdict.REFUSE_OVERLOAD:
                return Received(payload=payload, flow=flow, refused="overload")
            case Verdict.KEEP_ALIVE:
                return None
            case reason:
                self.drop(reason)
                return None

    def drop(self, reason: str) -> None:
        """Count what was not taken up, and write a line now and then."""
        self._telemetry.count("sip_dropped_total", reason=reason)
        suppressed = self._floodgate.pass_or_count(f"sip_messages_dropped.{reason}")
        if suppressed is not None:
            _log.info("sip_messages_dropped", reason=reason, suppressed=suppressed)

    async def watch(self) -> None:
        """Measure how late the loop is and how much is under way, for as long as the endpoint runs."""
        while True:
            due = self._clock.monotonic() + MEASURE_EVERY_S
            await asyncio.sleep(MEASURE_EVERY_S)
            now = self._clock.monotonic()
            self._take_measure(max(0.0, now - due), now)

    def _take_measure(self, lag_s: float, now: float) -> None:
        before = self._overload.level
        if self._overload.note(lag_s=lag_s, transactions=self._core.open_transactions, now=now):
            level = self._overload.level
            _log.warning("sip_shed_level_changed", before=before, level=level, lag_s=round(lag_s, 3))
        self._telemetry.gauge("sip_shed_level", float(self._overload.level))
        self._telemetry.gauge("sip_transactions_active", self._core.open_transactions)
        self._telemetry.gauge("sip_dialogs_active", self._core.open_dialogs)
