"""What a call wants done so that its user hears why there is none, or none any more: work of the media session."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAnnouncementAnswer:
    """Answer the Matrix offer without any phone → `AnnouncementReady` or `MediaRefused`."""

    matrix_sdp: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Let the user hear the sentence for this `Verdict.reason` → `SoundPlayed`, or `MediaRefused`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSipMedia:
    """The phone is hung up on: send it nothing more, and expect nothing of it."""


AnnouncementCommand = WriteAnnouncementAnswer | Announce | DropSipMedia
