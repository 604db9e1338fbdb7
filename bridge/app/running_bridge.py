"""What can be asked of a bridge while it runs: to take no calls, to read its configuration again, how it stands."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import structlog

from bridge.app.live_plan import InForce, LivePlan
from bridge.app.meter import Meter
from bridge.app.observers import Observers
from bridge.app.plan import limits, suspension_rule, thresholds
from bridge.app.repertoire import rehearse
from bridge.app.state_report import StateReport
from bridge.app.switchboard import Switchboard
from bridge.app.text_desk import TextDesk
from bridge.config import Config, ConfigError, Fault, secret_headers, sip_settings, take_over
from bridge.matrix.service import MatrixService
from bridge.ops.logs import set_level
from bridge.ops.metrics import PrometheusTelemetry
from bridge.sip.io.certificates import CertificateError
from bridge.sip.io.endpoint import SipEndpoint, TrunkChange
from bridge.sip.settings import TrunkAuth

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
    observers: Observers
    telemetry: PrometheusTelemetry
    state: StateReport

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
        trunks = await self._trunks(taken.config)
        await self.sip.reload_tls()
        self._apply(before, ready, trunks)
        self._say(taken.waiting)

    def tell_state(self) -> None:
        """Write into the log how it stands."""
        self.state.write()

    async def _trunks(self, config: Config) -> TrunkChange:
        """Their certificates are read before anything is changed."""
        try:
            return await self.sip.prepare(sip_settings(config))
        except CertificateError as error:
            raise ConfigError([Fault(path="trunks", message=f"TLS cannot be used: {error}")]) from error

    def _apply(self, before: Config, ready: InForce, trunks: TrunkChange) -> None:
        """All at once: nothing waits in here."""
        config = ready.file
        calls = [live.call for live in self.switchboard.lives()]
        editions = {menu.edition for call in calls for menu in call.menus}
        self.live.take(ready, editions_in_use=editions, trunks_in_use={call.trunk for call in calls})
        self.meter.warn_before(config.permissions.limit_warning_s)
        self.meter.change_rules(limits(config), thresholds(config), suspension_rule(config))
        self.telemetry.know_trunks(config.trunks)
        self.observers.keep_secret(secret_headers(config))
        self.sip.change_trunks(trunks)
        for name in before.trunks.keys() - config.trunks.keys():
            self.telemetry.forget_trunk(name)
        registered = {name for name, trunk in before.trunks.items() if trunk.auth is TrunkAuth.REGISTER}
        for name in registered & config.trunks.keys():
            if config.trunks[name].auth is not TrunkAuth.REGISTER:
                # It would be the end of a registration that nobody renews.
                self.telemetry.forget_level("registration_expires_timestamp_seconds", name)
        set_level(config.logging.level)

    def _say(self, waiting: list[str]) -> None:
        sections = Counter(path.partition(".")[0] for path in waiting)
        for section in type(self.live.config()).model_fields:
            self.telemetry.gauge("config_restart_needed", sections[section], section=section)
        if waiting:
            log.warning("restart_needed", settings=waiting)
        self.live.say_what_rests()
