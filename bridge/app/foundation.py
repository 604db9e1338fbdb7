"""What the parts of a bridge stand on: made of its configuration alone, before anything is opened."""

import importlib.metadata
from dataclasses import dataclass

from bridge.app.history import DAY_S
from bridge.app.live_plan import LivePlan
from bridge.app.observers import Observers
from bridge.app.probe.self_calls import SelfCalls
from bridge.config import Config, media_settings, sip_settings
from bridge.core.clock import Clock, SystemClock
from bridge.core.entropy import Entropy, SystemEntropy
from bridge.media.engine import MediaEngine
from bridge.media.engines import make_engine
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.records import CallRecords
from bridge.sip.io.endpoint import SipEndpoint

VERSION = importlib.metadata.version("trunkline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Nothing is global: two of them can live in one process."""

    config: Config
    live: LivePlan
    clock: Clock
    entropy: Entropy
    telemetry: PrometheusTelemetry
    records: CallRecords
    observers: Observers
    self_calls: SelfCalls
    engine: MediaEngine
    sip: SipEndpoint

    @classmethod
    def of(cls, config: Config) -> "Foundation":
        """Make all of it; nothing runs yet."""
        clock, entropy = SystemClock(), SystemEntropy()
        self_calls = SelfCalls(config, clock=clock, entropy=entropy)
        telemetry = PrometheusTelemetry(trunks=(*config.trunks, *self_calls.trunks), version=VERSION)
        observers = Observers(config, clock=clock, telemetry=telemetry, version=VERSION)
        return cls(
            config=config,
            live=LivePlan(config),
            clock=clock,
            entropy=entropy,
            telemetry=telemetry,
            records=CallRecords(
                config.ops.call_records,
                telemetry=telemetry,
                record_numbers=config.ops.record_numbers,
                keep_s=config.ops.record_days * DAY_S,
                clock=clock,
            ),
            observers=observers,
            self_calls=self_calls,
            engine=make_engine(media_settings(config), entropy=entropy, clock=clock, telemetry=telemetry),
            sip=SipEndpoint(
                sip_settings(config),
                entropy=entropy,
                clock=clock,
                telemetry=telemetry,
                capture=observers.tracing.capture,
            ),
        )
