"""The engine that the settings ask for."""

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEngine
from bridge.media.rtpengine.engine import RtpengineEngine
from bridge.media.settings import MediaSettings, PathChoice


def make_engine(settings: MediaSettings, *, entropy: Entropy, clock: Clock, telemetry: Telemetry) -> MediaEngine:
    """One that is not started yet. Raises :class:`bridge.media.engine.MediaError` when it cannot be had here."""
    if settings.engine is PathChoice.RTPENGINE:
        return RtpengineEngine(settings, entropy=entropy, clock=clock, telemetry=telemetry)
    return EmbeddedEngine(settings, entropy=entropy, clock=clock, telemetry=telemetry)
