"""What the engine's settings come to for every call."""

from dataclasses import dataclass

from bridge.media.ice_path import WebRtcSettings
from bridge.media.latch import Networks
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
    rtp_sources: Networks
    """Where RTP may come from besides the address that a phone announced."""
    hold_music: Sound | None
    """What a phone hears while the user's client holds it."""
