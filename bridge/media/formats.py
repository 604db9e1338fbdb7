"""Which audio formats two ends agreed on, as values."""

import enum
from dataclasses import dataclass

from bridge.media.opus_wish import ANYTHING, OpusWish


class Codec(enum.StrEnum):
    """The codecs of this engine, by encoding name (IANA, RTP Payload Format Media Types)."""

    OPUS = "OPUS"
    G722 = "G722"
    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def clock_rate(self) -> int:
        """RTP clock: always 48 000 for Opus (RFC 7587 §4.1), 8 000 for G.711 (RFC 3551 §4.5.14).

        And for G.722, which samples at 16 kHz: an error of old that nobody can mend any more (RFC 3551 §4.5.2).
        """
        return 48000 if self is Codec.OPUS else 8000

    @property
    def is_wideband(self) -> bool:
        """Whether it carries more than the 300 to 3400 Hz of the old telephone."""
        return self not in G711


G711 = (Codec.PCMU, Codec.PCMA)
OCTETS_PER_MS = 8
"""Of G.711 and G.722: of these codecs, an octet is an eighth of a millisecond."""
FRAME_MS = 20
TELEPHONE_EVENT = "TELEPHONE-EVENT"
COMFORT_NOISE = 13
"""Payload type of comfort noise (RFC 3389 §4): never offered, but some send it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """A codec under the payload type that one direction uses for it."""

    payload_type: int
    codec: Codec
    opus: OpusWish = ANYTHING
    """What whoever receives this asks of an encoder of Opus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitFormat:
    """telephone-event (RFC 4733) under a payload type and clock."""

    payload_type: int
    clock_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketTimes:
    """How much audio the packets for one leg carry, in milliseconds."""

    made_ms: int = FRAME_MS
    """What we make them of; for Opus one of 10, 20, 40 and 60, for the others any multiple of 10 up to 60."""
    exact: bool = False
    """Whether no other length is sent: phones name the length that their hardware works in, browsers take any."""
    longest_ms: int = 0
    """What the far end can hold (`a=maxptime`); 0 is anything."""

    def fit(self, codec: Codec, payload: bytes) -> bool:
        """Whether a payload of another leg can be sent as it is. Opus frames always are: none can be cut or joined."""
        if codec is Codec.OPUS:
            return True
        octets = len(payload)
        if self.exact and octets != OCTETS_PER_MS * self.made_ms:
            return False
        return not self.longest_ms or octets <= OCTETS_PER_MS * self.longest_ms


AS_USUAL = PacketTimes()
_OPUS_FRAMES_MS = (10, 20, 40, 60)
_FRAMES_MS = (10, 20, 30, 40, 50, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketWish:
    """What a description says of the packets that its writer wants to receive; 0 is nothing (RFC 8866 §6.4, §6.5)."""

    ptime_ms: int = 0
    maxptime_ms: int = 0

    def times(self, codec: Codec, *, insists: bool) -> PacketTimes:
        """What follows from it for a codec; `insists`: the writer may be unable to play anything but what it names."""
        longest_ms = max(self.maxptime_ms, _FRAMES_MS[0]) if self.maxptime_ms else 0
        wanted_ms = max(min(self.ptime_ms or FRAME_MS, longest_ms or _FRAMES_MS[-1]), _FRAMES_MS[0])
        lengths = _OPUS_FRAMES_MS if codec is Codec.OPUS else _FRAMES_MS
        made_ms = max(length for length in lengths if length <= wanted_ms)
        return PacketTimes(made_ms=made_ms, exact=insists and self.ptime_ms > 0, longest_ms=longest_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFormats:
    """What one leg may receive and what it sends; payload types may differ between the directions (RFC 3264 §5.1)."""

    receive: tuple[AudioFormat, ...]
    receive_digits: tuple[DigitFormat, ...]
    send: AudioFormat
    send_digits: DigitFormat | None
    packets: PacketTimes = AS_USUAL

    def received_codec(self, payload_type: int) -> Codec | None:
        """The codec of an arriving packet, `None` for anything that is not negotiated audio."""
        for audio in self.receive:
            if audio.payload_type == payload_type:
                return audio.codec
        return None

    def received_digits(self, payload_type: int) -> DigitFormat | None:
        """The event format of an arriving packet."""
        for digits in self.receive_digits:
            if digits.payload_type == payload_type:
                return digits
        return None


def codec_name(formats: LegFormats | None) -> str:
    """What a leg sends, as statistics name it; nothing before it is agreed."""
    return "" if formats is None else formats.send.codec.value


def choose_digits(offered: tuple[DigitFormat, ...], codec: Codec) -> DigitFormat | None:
    """The event format at the codec's own clock, so that both share one timeline (RFC 4733 §2.1), else any."""
    matching = [digits for digits in offered if digits.clock_rate == codec.clock_rate]
    return next(iter(matching or offered), None)
