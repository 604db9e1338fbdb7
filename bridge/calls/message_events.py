"""What happens while a phone leaves a message."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswerReady:
    """The bridge's own answer to the phone's offer, or its offer where the phone made none."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GreetingPlayed:
    """A sound of ours was played to its end: the greeting, or what a user is told (`calls.announcement`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneKeyPressed:
    """A key of the phone that is meant for us."""

    digit: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecorded:
    """The recording is over and its file whole."""

    heard: bool
    """Whether there is anything in it."""


MessageEvent = OwnAnswerReady | GreetingPlayed | PhoneKeyPressed | MessageRecorded
