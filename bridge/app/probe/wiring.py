"""Test calls of a running bridge: from its configuration and its parts."""

from collections.abc import Callable

from bridge.app.meter import Meter
from bridge.app.probe.prober import Prober, ProberParts
from bridge.app.switchboard import Switchboard
from bridge.calls.times import CallTimes
from bridge.config import Config, media_settings
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import UserId
from bridge.core.telemetry import Telemetry
from bridge.numbers.policy import IsUp, NumberPlan


def make_prober(
    config: Config,
    *,
    switchboard: Switchboard,
    plan: Callable[[], NumberPlan],
    times: Callable[[], CallTimes],
    meter: Meter,
    trunk_up: IsUp,
    clock: Clock,
    entropy: Entropy,
    telemetry: Telemetry,
) -> Prober:
    """Nobody is called in the name of a user but the one that the configuration names, or the bridge's own."""
    own = f"@{config.appservice.bot_localpart}:{config.homeserver.server_name}"
    return Prober(
        ProberParts(
            switchboard=switchboard,
            plan=plan,
            meter=meter,
            trunk_up=trunk_up,
            media=media_settings(config),
            times=times,
            caller=UserId(config.ops.test_calls.caller or own),
            clock=clock,
            entropy=entropy,
            telemetry=telemetry,
        )
    )
