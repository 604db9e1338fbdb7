"""What a call wants done so that the bridge can answer its phone, and the phone leave a message.

All of it is work of the media session.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOwnAnswer:
    """Drop the Matrix side and answer the phone → `OwnAnswerReady` or `MediaRefused`."""

    late_offer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayGreeting:
    """Let the phone hear why, and listen for its keys → `SoundPlayed`, or `MediaRefused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSound:
    """The phone has heard enough of what is played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMessage:
    """Record the phone after a beep → `MessageRecorded` at the latest after so long, or `MediaRefused`."""

    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecording:
    """→ `MessageRecorded`."""


MessageCommand = WriteOwnAnswer | PlayGreeting | StopSound | RecordMessage | StopRecording
