"""What can be asked of a bridge while it runs: to take no more calls, and to read its configuration again."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import structlog

from bridge.app.live_plan import InForce, LivePlan
from bridge.app.meter import Meter
from bridge.app.plan import limits, suspension_rule, thresholds
from bridge.app.repertoire import rehearse
from bridge.app.switchboard import Switchboard
from bridge.app.text_desk import TextDesk
from bridge.config import Config, take_over
from bridge.core.telemetry import Telemetry
from bridge.matrix.service import MatrixService
from bridge.ops.logs import set_level
from bridge.sip.call_limits import LimitCalls
from bridge.sip.io.endpoint import SipEndpoint

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBridge:
    """Implements `bridge.app.life_cycle.Drainable`."""

    live: LivePlan
    switchboard: Switchboard
    sip: SipEndpoint
    matrix: MatrixService
    meter: Meter
    texts: TextDesk
    telemetry: Telemetry

    async def failed(self) -> None:
        """Return only if the bridge cannot go on."""
        await self.matrix.wait_failed()

    def drain(self) -> int:
        """Take no new calls; gives how many go on."""
        return self.switchboard.drain()

    async def idle(self) -> None:
        """Return when no call is left."""
        await self.switchboard.idle()

    async def reload(self, config: Config) -> None:
        """Take over what can be changed without a restart, and say what cannot.

        Raises `ConfigError` when nothing of it can be had before a restart, or when something of it cannot be said, and
        then changes nothing.
        """
        before = self.live.file()
        taken = await asyncio.to_thread(take_over, before, config)
        sounds = await rehearse(taken.config, self.live.sounds())
        ready = await asyncio.to_thread(self.live.worked_out, taken.config, sounds)
        await self.sip.reload_tls()
        self._apply(before, ready)
        self._say(taken.waiting)

    def _apply(self, before: Config, ready: InForce) -> None:
        """All at once: nothing waits in here."""
        config = ready.file
        walks = [live.call.walk for live in self.switchboard.lives()]
        self.live.take(ready, editions_in_use={walk.menu.edition for walk in walks if walk is not None})
        self.meter.warn_before(config.permissions.limit_warning_s)
        self.meter.change_rules(limits(config), thresholds(config), suspension_rule(config))
        if config.permissions.texts_per_day != before.permissions.texts_per_day:
            self.texts.allow(config.permissions.texts_per_day)
        for name, trunk in config.trunks.items():
            self.sip.limit_calls(
                LimitCalls(
                    trunk=name,
                    max_calls=trunk.max_calls,
                    max_calls_per_s=trunk.max_calls_per_s,
                    max_incoming_per_s=trunk.max_incoming_per_s,
                )
            )
        set_level(config.logging.level)

    def _say(self, waiting: list[str]) -> None:
        sections = Counter(path.partition(".")[0] for path in waiting)
        for section in type(self.live.config()).model_fields:
            self.telemetry.gauge("config_restart_needed", sections[section], section=section)
        if waiting:
            log.warning("restart_needed", settings=waiting)
        self.live.say_what_rests()
