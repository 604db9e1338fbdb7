"""What is asked of a recording, and what it has become: values only."""

import enum
from dataclasses import dataclass
from pathlib import Path

WAVEFORM_VALUES = 100
WAVEFORM_PEAK = 1024
"""Full scale of a waveform's values (MSC3246)."""


class RecordedSides(enum.StrEnum):
    """Who is recorded."""

    PHONE = "phone"
    """The phone alone, in one channel: a message."""
    MATRIX = "matrix"
    """The Matrix client alone, in one channel; of joined calls, the other phone."""
    MIXED = "mixed"
    """Both sides in one channel."""
    SEPARATE = "separate"
    """Two channels: the phone left, the Matrix client right."""


class RecordingFormat(enum.StrEnum):
    """What kind of file it is. Either can be played up to its last second if this process dies."""

    OGG_OPUS = "ogg_opus"
    """Opus in Ogg (RFC 7845), about 3 kB a second and channel: what Matrix clients play as a voice message."""
    WAV = "wav"
    """8000 Hz, 16 bits, 16 kB a second and channel."""


class RecordingEnd(enum.StrEnum):
    """Why a recording has ended."""

    STOPPED = "stopped"
    """`stop_recording` was called."""
    TIME_LIMIT = "time_limit"
    SIZE_LIMIT = "size_limit"
    CLOSED = "closed"
    """The session was closed."""
    DISK = "disk"
    """The file could not be written any further: the disk is full, say. What it holds can be played."""
    FAILED = "failed"
    """A fault of ours, which is logged."""
    BEHIND = "behind"
    """The writer could not keep up with the calls that are recorded, so that audio would be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRequest:
    """What is to be recorded, and where to."""

    path: Path
    """The file, made or overwritten, for our user alone; it stays whatever happens, for the caller to remove."""
    sides: RecordedSides
    file_format: RecordingFormat = RecordingFormat.OGG_OPUS
    longest_s: float = 120.0
    most_octets: int = 50_000_000
    """The file ends before it is larger than this."""
    beep: bool = False
    """Whether those who are recorded hear a beep of 1400 Hz before it begins: what many countries ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a recording has become."""

    path: Path
    end: RecordingEnd
    duration_s: float
    """Of the audio in the file, pauses included."""
    octets: int
    """Size of the file."""
    waveform: tuple[int, ...]
    """Up to 100 peaks of equal stretches, 0 to 1024, for a picture of the sound (MSC3246)."""
    heard: bool
    """Whether there is any sound in it: nobody wants to be told of a message that is silence."""
