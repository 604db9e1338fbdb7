"""The ops port: metrics and health over HTTP, apart from the port that the homeserver talks to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from aiohttp import web

from bridge.core.addresses import why_not_bound
from bridge.core.clock import Clock
from bridge.core.errors import TrunklineError
from bridge.core.http import HttpLimits, HttpServer
from bridge.core.telemetry import Telemetry
from bridge.ops.admin.api import AdminApi
from bridge.ops.console.console import Console
from bridge.ops.logs import lines_dropped
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.test_calls.routes import TestCallRoutes

_log = structlog.get_logger(__name__)
_HEARTBEAT_S = 0.5
_LIVE_WITHIN_S = 5.0
_LATE_S = 1.0
"""A loop this late makes callers wait: others should get the calls."""
_LIMITS = HttpLimits(connections=32)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be so for the bridge to take calls."""

    passes: Callable[[], bool]
    """Quick, never waits."""
    otherwise: str
    """What a person reads when it does not pass: what is wrong, and where to look."""
    counts: bool = True
    """Whether it makes the bridge not ready; otherwise it is only told."""


class OpsPortError(TrunklineError):
    """The ops port cannot be opened."""


class Heartbeat:
    """Notices when an event loop is late, and says whether it is alive at all."""

    def __init__(
        self, *, clock: Clock, telemetry: Telemetry, loop_name: str = "signalling", sleep: Sleep = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._loop_name = loop_name
        self._sleep = sleep
        self._last = clock.monotonic()
        self._lag_s = 0.0

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            due = self._clock.monotonic() + _HEARTBEAT_S
            await self._sleep(_HEARTBEAT_S)
            self._last = self._clock.monotonic()
            self._lag_s = max(0.0, self._last - due)
            self._telemetry.observe("event_loop_lag_seconds", self._lag_s, loop=self._loop_name)

    def alive(self) -> bool:
        """Whether the last beat is recent."""
        return self._clock.monotonic() - self._last < _LIVE_WITHIN_S

    def in_time(self) -> bool:
        """Whether the loop came round in time when it did so last."""
        return self._lag_s < _LATE_S


class OpsServer:
    """`/metrics`, `/livez` and `/readyz`, and the console and test calls if there are any.

    `checks` are asked at every `/readyz`; those that do not pass are told with their reasons.
    `measure` sets levels that nobody keeps up to date, before they are shown; quick as well.
    """

    def __init__(
        self,
        *,
        telemetry: PrometheusTelemetry,
        heartbeat: Heartbeat,
        checks: Mapping[str, Check],
        measure: Callable[[], None] = lambda: None,
        console: Console | None = None,
        admin: AdminApi | None = None,
        test_calls: TestCallRoutes | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._heartbeat = heartbeat
        self._checks = dict(checks)
        self._measure = measure
        self._console = console
        self._admin = admin
        self._test_calls = test_calls
        self._lines_counted = 0
        self._http = HttpServer(self._application(), name="ops", limits=_LIMITS, telemetry=telemetry)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: the free one that was taken if `port` is 0."""
        try:
            _, taken_port = await self._http.start(host, port)
        except OSError as error:
            raise OpsPortError(f"ops.listen: cannot listen on {host}:{port}: {why_not_bound(error)}") from error
        return taken_port

    async def stop(self) -> None:
        """Close the port."""
        if self._console is not None:
            self._console.close()
        await self._http.stop()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=1024)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        if self._console is not None:
            self._console.add_to(application)
        if self._admin is not None:
            self._admin.add_to(application)
        if self._test_calls is not None:
            self._test_calls.add_to(application)
        return application

    async def _metrics(self, request: web.Request) -> web.Response:
        self._telemetry.gauge("tasks", len(asyncio.all_tasks()))
        self._count_dropped_lines()
        self._measure()
        for name, check in self._checks.items():
            self._telemetry.gauge("check_passes", float(self._ask(name, check)), check=name)
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._telemetry.exposition(), headers=headers)

    def _count_dropped_lines(self) -> None:
        """When it is asked for: the logs know nothing of telemetry, and must not wait for it."""
        dropped = lines_dropped()
        self._telemetry.count("log_lines_dropped_total", dropped - self._lines_counted)
        self._lines_counted = dropped

    async def _livez(self, request: web.Request) -> web.Response:
        alive = self._heartbeat.alive()
        return web.json_response({"live": alive}, status=200 if alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        outcomes = {name: self._ask(name, check) for name, check in self._checks.items()}
        reasons = {name: self._checks[name].otherwise for name, passed in outcomes.items() if not passed}
        ready = all(passed or not self._checks[name].counts for name, passed in outcomes.items())
        document = {"ready": ready, "checks": outcomes, "reasons": reasons}
        return web.json_response(document, status=200 if ready else 503)

    def _ask(self, name: str, check: Check) -> bool:
        """A check that raises says no, and is a bug."""
        try:
            return check.passes()
        except Exception:
            self._telemetry.count("internal_errors_total", component="ops")
            _log.exception("health_check_raised", check=name)
            return False
