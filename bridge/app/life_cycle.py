"""What signals ask of a running bridge: drain, stop, read the configuration again, say more or say how it stands."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from bridge.config import Config, ConfigError
from bridge.core import start_signals
from bridge.core.telemetry import Telemetry
from bridge.ops.logs import toggle_debug
from bridge.ops.service_manager import ServiceManager

log = structlog.get_logger(__name__)

MOST_NAMED = 100
"""Faults of a configuration that the log names; `trunkline check-config` lists all. Calls wait while it is written."""


class Drainable(Protocol):
    """What a running bridge lets itself be told."""

    def drain(self) -> int:
        """Take no new calls; gives how many go on."""

    async def idle(self) -> None:
        """Return when no call is left."""

    async def reload(self, config: Config) -> None:
        """Take over what can be changed without a restart."""

    def tell_state(self) -> None:
        """Write into the log how it stands."""


class LifeCycle:
    """SIGTERM drains, and hangs up when it comes again; SIGINT hangs up; SIGHUP reads the configuration again.

    The person at a terminal who presses Ctrl-C waits for nobody. A service manager that stops us lets calls finish.
    SIGUSR1 lets the log leave nothing out until it comes again; SIGUSR2 writes the state of the bridge there.
    """

    def __init__(
        self,
        *,
        drain_limit_s: float,
        read_config: Callable[[], Config],
        service_manager: ServiceManager,
        telemetry: Telemetry,
    ) -> None:
        self._drain_limit_s = drain_limit_s
        self._read_config = read_config
        self._service_manager = service_manager
        self._telemetry = telemetry
        self._bridge: Drainable | None = None
        self._stop = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_due = False

    def listen(self) -> None:
        """Take the signals of the process, and those that were held until now."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        loop.add_signal_handler(signal.SIGUSR1, toggle_debug)
        loop.add_signal_handler(signal.SIGUSR2, self.tell_state)
        start_signals.release()

    def started(self, bridge: Drainable) -> None:
        """The bridge runs; a signal that came before has its effect now."""
        self._bridge = bridge
        self._note_reload(ok=True)
        self._service_manager.ready()
        if self._reload_due:
            self.reload()

    async def stopped(self) -> None:
        """Return when every call may be hung up and the process shall end."""
        await self._stop.wait()
        self._service_manager.stopping()

    async def close(self) -> None:
        """End what goes on beside."""
        for task in (self._draining, self._reloading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def terminate(self) -> None:
        """Let calls finish; asked again, do not."""
        if self._bridge is None or self._draining is not None:
            self._stop.set()
        else:
            self._draining = asyncio.create_task(self._drain(self._bridge))

    def interrupt(self) -> None:
        """Hang up and end."""
        self._stop.set()

    def reload(self) -> None:
        """Read the configuration again, once more if it is being read just now; too late when the end has begun."""
        if self._draining is not None or self._stop.is_set():
            return
        self._reload_due = True
        if self._bridge is not None and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.create_task(self._reload(self._bridge))

    def tell_state(self) -> None:
        """Write the state of the bridge into the log."""
        if self._bridge is None:
            log.info("state_starting")
        else:
            self._bridge.tell_state()

    async def _drain(self, bridge: Drainable) -> None:
        calls = bridge.drain()
        self._telemetry.gauge("draining", 1)
        self._service_manager.draining(calls)
        log.info("bridge_draining", calls=calls, limit_s=self._drain_limit_s)
        try:
            async with asyncio.timeout(self._drain_limit_s):
                await bridge.idle()
        except TimeoutError:
            log.warning("drain_limit_reached", limit_s=self._drain_limit_s)
        self._stop.set()

    async def _reload(self, bridge: Drainable) -> None:
        while self._reload_due:
            self._reload_due = False
            self._service_manager.reloading()
            outcome = await self._outcome(bridge)
            self._telemetry.count("config_reloads_total", outcome=outcome)
            self._note_reload(ok=outcome == "done")
            self._service_manager.ready()

    def _note_reload(self, *, ok: bool) -> None:
        self._telemetry.gauge("config_last_reload_successful", float(ok))
        if ok:
            self._telemetry.gauge("config_last_reload_success_timestamp_seconds", time.time())

    async def _outcome(self, bridge: Drainable) -> str:
        """A configuration with a fault changes nothing: not even its faultless parts."""
        try:
            config = await asyncio.to_thread(self._read_config)
            await bridge.reload(config)
            self._drain_limit_s = config.calls.drain_timeout_s
        except ConfigError as error:
            for fault in error.faults[:MOST_NAMED]:
                log.error("configuration_fault", line=fault.line, fault=fault.located)
            log.error("configuration_kept", faults=len(error.faults))
            return "refused"
        except Exception:
            log.exception("configuration_not_reloaded")
            self._telemetry.count("internal_errors_total", component="ops")
            return "failed"
        log.info("configuration_reloaded")
        return "done"
