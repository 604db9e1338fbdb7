"""The ops port of a bridge: what its health is judged by, and the console and the admin API where they are on."""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.app.added_entries import AddedEntries
from bridge.app.admin_desk import BridgeAdminDesk
from bridge.app.console_desk import ConsoleDesk
from bridge.app.live_plan import LivePlan
from bridge.app.probe.prober import Prober
from bridge.app.user_settings import UserSettings
from bridge.config import Config, trace_settings
from bridge.config.secrets import read_secret
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.matrix.service import MatrixService
from bridge.media.engine import MediaEngine
from bridge.ops.admin.api import AdminApi, AdminParts
from bridge.ops.console.access import ConsoleSettings
from bridge.ops.console.console import Console, ConsoleParts
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.server import Check, Heartbeat, OpsServer
from bridge.ops.test_calls.routes import TestCallRoutes
from bridge.store import Store
from bridge.store.traces.reader import TraceReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsPort:
    """What it needs of the rest."""

    config: Config
    desk: ConsoleDesk
    live: LivePlan
    entries: AddedEntries
    settings: UserSettings
    store: Store
    matrix: MatrixService
    media: MediaEngine
    prober: Prober
    further_checks: Mapping[str, Check]
    clock: Clock
    entropy: Entropy
    telemetry: PrometheusTelemetry

    async def open(self, stack: AsyncExitStack) -> None:
        """Listen until `stack` is unwound."""
        heartbeat = Heartbeat(clock=self.clock, telemetry=self.telemetry)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        beating = group.create_task(heartbeat.run())
        stack.callback(beating.cancel)
        console = self._console()
        server = OpsServer(
            telemetry=self.telemetry,
            heartbeat=heartbeat,
            checks={**self._checks(heartbeat), **self.further_checks},
            measure=self._measure,
            console=console,
            admin=self._admin(),
            test_calls=TestCallRoutes(self.prober, console.access, self.clock) if console is not None else None,
        )
        stack.push_async_callback(server.stop)
        listen = self.config.ops.listen
        port = await server.start(listen.host, listen.port)
        log.info("ops_port_opened", host=listen.host, port=port, console=console is not None)

    def _checks(self, heartbeat: Heartbeat) -> dict[str, Check]:
        """By name, in the order in which they are looked at."""
        switchboard = self.desk.switchboard
        return {
            "homeserver": Check(
                passes=lambda: self.matrix.healthy,
                otherwise="the homeserver did not reach us when it was last asked to: is it up, and is the url of the "
                "registration ours?",
            ),
            "store": Check(
                passes=lambda: self.store.healthy,
                otherwise="the last write to the database failed: is the disk full?",
            ),
            "trunks": Check(
                passes=self._any_trunk_up,
                otherwise="no trunk is registered or answers: see trunk_up, and trunkline doctor",
            ),
            "media": Check(
                passes=lambda: self.media.ready,
                otherwise="the media engine does not run, or no rtpengine server answers",
            ),
            "media_ports": Check(
                passes=lambda: self.media.has_ports,
                otherwise="no ports are left for another call: make media.ports larger",
            ),
            "event_loop": Check(
                passes=heartbeat.in_time,
                otherwise="signalling is more than a second late: the machine is too busy",
            ),
            "not_draining": Check(
                passes=lambda: switchboard.accepting,
                otherwise="it was asked to stop, and lets the last calls finish",
            ),
        }

    def _measure(self) -> None:
        """Levels that are looked up when somebody asks."""
        now = self.clock.monotonic()
        answered = (live.call.at.answered for live in self.desk.switchboard.directory)
        longest_s = max((now - at for at in answered if at is not None), default=0.0)
        self.telemetry.gauge("longest_call_seconds", longest_s)
        try:
            disk = shutil.disk_usage(Path(self.config.store.path).absolute().parent)
        except OSError as error:
            log.warning("disk_not_measured", reason=error.strerror)
        else:
            self.telemetry.gauge("store_disk_free_ratio", disk.free / disk.total)

    def _console(self) -> Console | None:
        console = self.config.ops.console
        if not console.is_on:
            return None
        settings = ConsoleSettings(
            token=console.token.get_secret_value(), proxies=console.proxies, user_header=console.user_header
        )
        traces = trace_settings(self.config).path
        parts = ConsoleParts(
            settings=settings,
            desk=self.desk,
            traces=TraceReader(traces) if traces is not None else None,
            clock=self.clock,
            entropy=self.entropy,
            telemetry=self.telemetry,
        )
        return Console(parts)

    def _admin(self) -> AdminApi | None:
        tokens = self.config.ops.admin.tokens
        if not tokens:
            return None
        traces = trace_settings(self.config).path
        desk = BridgeAdminDesk(
            live=self.live,
            entries=self.entries,
            settings=self.settings,
            meter=self.desk.meter,
            console=self.desk,
            traces=TraceReader(traces) if traces is not None else None,
        )
        parts = AdminParts(
            tokens={name: read_secret(file) for name, file in tokens.items()},
            desk=desk,
            changes=self.store.admin_changes,
            turn=self.settings.turn,
            clock=self.clock,
            telemetry=self.telemetry,
        )
        return AdminApi(parts)

    def _any_trunk_up(self) -> bool:
        return any(self.desk.sip.trunk_up(trunk) for trunk in self.live.trunks())
