"""What every call of an engine is told: what the settings come to, and what all calls share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.media.engine import MediaEvent
from bridge.media.ice_path import WebRtcSettings
from bridge.media.latch import Networks
from bridge.media.path import PacketPaths
from bridge.media.ports import PortPool
from bridge.media.recorder import Recorder
from bridge.media.silence_watch import SilenceLimits
from bridge.media.sounds import Sound


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMediaSettings:
    """The part of the settings that a call needs, worked out once."""

    webrtc: WebRtcSettings
    rtp_host: str
    sip_host: str
    """Written into descriptions for phones."""
    sip_loopback: bool
    """Whether a phone may be on this machine."""
    ip_version: int
    rtp_timeout_s: float
    silence: SilenceLimits
    rtp_sources: Networks
    """Where RTP may come from besides the address that a phone announced."""
    hold_music: Sound | None
    """What a phone hears while the user's client holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all calls of an engine share."""

    settings: CallMediaSettings
    ports: PortPool
    entropy: Entropy
    clock: Clock
    telemetry: Telemetry
    tasks: asyncio.TaskGroup
    emit: Callable[[MediaEvent], None]
    paths: PacketPaths
    recorder: Recorder
