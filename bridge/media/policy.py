"""What one trunk wants of the audio of its calls; given with each session, because trunks differ."""

import enum
from dataclasses import dataclass

from bridge.media.formats import G711, Codec


class SrtpUse(enum.StrEnum):
    """Whether audio towards a trunk is encrypted (RFC 3711), with keys in the descriptions (RFC 4568)."""

    OFF = "off"
    OPTIONAL = "optional"
    """Offered inside `RTP/AVP`, where a phone that knows nothing of it answers in the clear; taken up when offered."""
    REQUIRED = "required"
    """Offered as `RTP/SAVP`; what cannot be encrypted is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipMediaPolicy:
    """The audio of a call, as its trunk wants it."""

    codecs: tuple[Codec, ...] = ()
    """Offered in this order, and no others; empty: both laws, first the one that the user's client speaks."""
    ptime_ms: int = 20
    """The packet time that we ask the phone for."""
    srtp: SrtpUse = SrtpUse.OFF
    digits_in_rtp: bool = True
    """Whether digits are telephone-events (RFC 4733); otherwise signalling carries them, and never both."""
    digits_as_tones: bool = False
    """Whether digits are tones in the audio, both ways, where a phone has no telephone-events."""

    @property
    def allowed(self) -> tuple[Codec, ...]:
        """The codecs that a call may use."""
        return self.codecs or G711


DEFAULT_POLICY = SipMediaPolicy()
"""Plain G.711 with digits as events: what every phone takes."""
