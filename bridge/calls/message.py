"""A message that a phone leaves when nobody takes its call: plain values."""

import enum
from dataclasses import dataclass

from bridge.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBox:
    """What a user who takes messages wants."""

    reasons: tuple[str, ...]
    """Why nobody takes a call, as `Verdict.reason`, in the cases in which its phone may leave a message."""
    longest_s: float
    limit_s: float
    """For the greeting and the message together: what is left over then has gone wrong."""


class Step(enum.StrEnum):
    """What the phone hears, or is heard for."""

    GREETING = "greeting"
    RECORDING = "recording"
    CLOSING = "closing"
    """The recording was stopped, and is not whole yet."""


@dataclass(slots=True, kw_only=True)
class Message:
    """A message that is being left."""

    why: Verdict
    """Why nobody took the call: what becomes of it if nothing is left."""
    step: Step = Step.GREETING
