"""Which audio formats two ends agreed on, as values."""

import enum
from dataclasses import dataclass


class Codec(enum.StrEnum):
    """The codecs of this engine, by encoding name (IANA, RTP Payload Format Media Types)."""

    OPUS = "OPUS"
    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def clock_rate(self) -> int:
        """RTP clock: always 48 000 for Opus (RFC 7587 §4.1), 8 000 for G.711 (RFC 3551 §4.5.14)."""
        return 48000 if self is Codec.OPUS else 8000


G711 = (Codec.PCMU, Codec.PCMA)
TELEPHONE_EVENT = "TELEPHONE-EVENT"
COMFORT_NOISE = 13
"""Payload type of comfort noise (RFC 3389 §4): never offered, but some send it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """A codec under the payload type that one direction uses for it."""

    payload_type: int
    codec: Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitFormat:
    """telephone-event (RFC 4733) under a payload type and clock."""

    payload_type: int
    clock_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFormats:
    """What one leg may receive and what it sends; payload types may differ between the directions (RFC 3264 §5.1)."""

    receive: tuple[AudioFormat, ...]
    receive_digits: tuple[DigitFormat, ...]
    send: AudioFormat
    send_digits: DigitFormat | None

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


def choose_digits(offered: tuple[DigitFormat, ...], codec: Codec) -> DigitFormat | None:
    """The event format at the codec's own clock, so that both share one timeline (RFC 4733 §2.1), else any."""
    matching = [digits for digits in offered if digits.clock_rate == codec.clock_rate]
    return next(iter(matching or offered), None)
