"""Now and then the bridge calls itself, so that it knows that calls work before somebody misses them.

Without a number the call goes to an echo of its own (`echo_phone`), over a trunk that no other call uses: signalling,
packets, ICE, DTLS and the codecs between are tried. With a number so is all that a user's call there needs.
"""

import asyncio
from contextlib import AsyncExitStack

import structlog

from bridge.app.probe.echo_phone import EchoPhone, EchoPlace
from bridge.app.probe.prober import Prober
from bridge.config import Config
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import TrunkName
from bridge.core.telemetry import NoTelemetry, Telemetry
from bridge.ops.server import Check
from bridge.ops.test_calls.judging import Outcome
from bridge.ops.test_calls.report import TestReport, TestWish
from bridge.ops.test_calls.routes import TestUnderWayError
from bridge.sip.settings import Trunk

ECHO = TrunkName("(echo)")
"""No trunk of a configuration can be called so."""
FIRST_AFTER_S = 5.0
AGAIN_AFTER_S = 30.0
"""After a failure, unless the next call comes sooner anyway."""
FAILURES = 2
"""In a row, for the check not to pass: one lost call is no outage."""
_AUDIO_S, _RING_S = 3.0, 20.0

log = structlog.get_logger(__name__)


class SelfCalls:
    """`open` before the SIP side starts, `run` once everything does."""

    def __init__(self, config: Config, *, clock: Clock, entropy: Entropy) -> None:
        self._config, self._settings = config, config.ops.test_calls
        self._clock, self._entropy = clock, entropy
        self._telemetry: Telemetry = NoTelemetry()
        self._failures = 0

    @property
    def are_on(self) -> bool:
        """Whether there are any."""
        return self._settings.every_s > 0

    @property
    def trunks(self) -> tuple[TrunkName, ...]:
        """Those of its own."""
        return (ECHO,) if self._uses_echo else ()

    @property
    def _uses_echo(self) -> bool:
        return self.are_on and not self._settings.number

    def checks(self) -> dict[str, Check]:
        """For `/readyz`."""
        if not self.are_on:
            return {}
        check = Check(
            passes=lambda: self._failures < FAILURES,
            otherwise="the last calls of the bridge to itself were not heard both ways: see self_test_failed in the "
            "log, and trunkline trace with its call_id",
            counts=self._settings.required,
        )
        return {"self_test": check}

    async def open(self, stack: AsyncExitStack) -> tuple[Trunk, ...]:
        """Start the echo, and give the trunk that leads to it. Raises `EndpointError`."""
        place = EchoPlace.of(self._config) if self._uses_echo else None
        if place is None:
            return ()
        phone = EchoPhone(place, entropy=self._entropy, clock=self._clock)
        stack.push_async_callback(phone.stop)
        port = await phone.start()
        return (Trunk(name=ECHO, host=place.sip_host, port=port, transport=place.transport, internal=True),)

    async def run(self, prober: Prober, telemetry: Telemetry) -> None:
        """Call again and again, for as long as this runs."""
        if not self.are_on:
            return
        self._telemetry = telemetry
        pause_s = min(FIRST_AFTER_S, self._settings.every_s)
        while True:
            await asyncio.sleep(pause_s)
            if prober.accepts:
                await self._call(prober)
            pause_s = min(self._settings.every_s, AGAIN_AFTER_S) if self._failures else self._settings.every_s

    async def _call(self, prober: Prober) -> None:
        wish = TestWish(number=self._settings.number or "echo", seconds=_AUDIO_S, ring_s=_RING_S)
        try:
            report = await prober.call_self(wish, ECHO if self._uses_echo else None)
        except TestUnderWayError:
            return
        except TrunklineError as error:
            self._note(ok=False)
            log.warning("self_test_failed", detail=str(error))
        except Exception:
            self._note(ok=False)
            self._telemetry.count("internal_errors_total", component="ops")
            log.exception("self_test_failed")
        else:
            self._judge(report)

    def _judge(self, report: TestReport) -> None:
        ok = report.outcome is Outcome.BOTH_WAYS
        self._note(ok=ok)
        through = self._through
        if report.connected_s is not None:
            self._telemetry.gauge("self_test_duration_seconds", report.connected_s, through=through)
        opinions = [way.mos for way in (report.from_phone, report.to_phone) if way.mos is not None]
        if opinions:
            self._telemetry.gauge("self_test_mos", min(opinions), through=through)
        if not ok:
            log.warning("self_test_failed", call_id=report.call_id, outcome=report.outcome.value, reason=report.reason)

    def _note(self, *, ok: bool) -> None:
        self._failures = 0 if ok else self._failures + 1
        self._telemetry.gauge("self_test_success", float(ok), through=self._through)
        if ok:
            self._telemetry.gauge("self_test_last_success_timestamp_seconds", self._clock.wall(), through=self._through)

    @property
    def _through(self) -> str:
        return "echo" if self._uses_echo else "number"
