"""Whether a source ever makes a sound: one that sends nothing but silence is muted, or has no microphone."""

from bridge.media import g711
from bridge.media.concealment import power
from bridge.media.formats import Codec
from bridge.media.pcm import to_samples

_AUDIBLE = 10_000
"""Mean square of a frame, about -50 dBFS: less is the noise of a line."""
_LISTENS_EVERY_S = 1.0
_DECODERS = {Codec.PCMU: g711.ulaw_decode, Codec.PCMA: g711.alaw_decode}


class Ears:
    """Listens until something was heard."""

    def __init__(self) -> None:
        self.audible: bool | None = None
        """`None` until a level is known: it is where audio is decoded, and of G.711."""
        self._listens_at = 0.0

    def hear(self, codec: Codec, payload: bytes, now: float) -> None:
        """Decode a payload of G.711, once a second: whoever speaks does so for longer."""
        decode = _DECODERS.get(codec)
        if self.audible or now < self._listens_at or decode is None:
            return
        self._listens_at = now + _LISTENS_EVERY_S
        self.hear_power(power(to_samples(decode(payload))))

    def hear_power(self, heard: int) -> None:
        """Take the mean square of a stretch of audio."""
        self.audible = bool(self.audible) or heard > _AUDIBLE
