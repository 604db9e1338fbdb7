"""What whoever receives Opus asks of its sender: the `a=fmtp` parameters of RFC 7587 §6.1 that concern our encoder.

Of the others, `stereo` and `sprop-stereo` are left at their defaults: we send one channel, which everybody can play,
and want no more. What a sender is capable of (`sprop-maxcapturerate`) asks nothing of us.
"""

from dataclasses import dataclass

_LEAST_BITRATE, _MOST_BITRATE = 6000, 510_000
FULL_BAND = 48000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpusWish:
    """Without a description of it: any bit rate and audio band, no redundancy, no gaps."""

    bitrate: int = _MOST_BITRATE
    """`maxaveragebitrate`, in bits a second."""
    playback_rate: int = FULL_BAND
    """`maxplaybackrate`, in Hz: what lies above half of it is not heard."""
    fec: bool = False
    """`useinbandfec`: whether redundancy is made use of."""
    dtx: bool = False
    """`usedtx`: whether next to nothing is to be sent of silence."""
    constant: bool = False
    """`cbr`: whether all packets are to have one length, which tells nobody what is said."""

    @classmethod
    def parse(cls, parameters: str) -> "OpusWish":
        """Read the parameters of an `a=fmtp` line; what cannot be read is not said."""
        pairs = (part.partition("=") for part in parameters.split(";"))
        said = {name.strip().lower(): value.strip() for name, _, value in pairs}
        bitrate = _number(said.get("maxaveragebitrate"), _MOST_BITRATE)
        return cls(
            bitrate=min(max(bitrate, _LEAST_BITRATE), _MOST_BITRATE),
            playback_rate=min(_number(said.get("maxplaybackrate"), FULL_BAND), FULL_BAND),
            fec=said.get("useinbandfec") == "1",
            dtx=said.get("usedtx") == "1",
            constant=said.get("cbr") == "1",
        )

    def __str__(self) -> str:
        """The parameters of an `a=fmtp` line. `minptime` is not of RFC 7587: libwebrtc writes, and expects, it."""
        limits = [f"maxaveragebitrate={self.bitrate}"] if self.bitrate < _MOST_BITRATE else []
        limits += [f"maxplaybackrate={self.playback_rate}"] if self.playback_rate < FULL_BAND else []
        flags = (("useinbandfec", self.fec), ("usedtx", self.dtx), ("cbr", self.constant))
        return ";".join(["minptime=10", *limits, *(f"{name}=1" for name, is_set in flags if is_set)])


ANYTHING = OpusWish()
OURS = OpusWish(fec=True)
"""Of what we decode."""


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 7 else default
