"""Keypad tones in INFO requests (RFC 6086 and what came before it): one at a time, for their order is what they say."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitAsked:
    """Press a key."""

    digit: str = field(repr=False)
    duration_ms: int
