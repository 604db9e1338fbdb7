"""What happens while the bridge itself has answered a phone: for a message, or for a menu."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswerReady:
    """The bridge's own answer to the phone's offer, or its offer where the phone made none."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPlayed:
    """A sound of ours was played to its end: to the phone, or to a user who is told something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneKeyPressed:
    """A key of the phone that is meant for us."""

    digit: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecorded:
    """The recording is over and its file whole."""

    heard: bool
    """Whether there is anything in it."""


MessageEvent = OwnAnswerReady | SoundPlayed | PhoneKeyPressed | MessageRecorded
