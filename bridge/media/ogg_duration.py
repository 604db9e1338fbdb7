"""How long an Ogg Opus file is, also one whose writer died in the middle of it (RFC 3533, RFC 7845 §4)."""

from pathlib import Path

_CAPTURE = b"OggS"
_HEADER_OCTETS = 27
_RATE = 48_000
"""Granule positions of Opus count samples of this rate, whatever the input had."""
_UNKNOWN = (1 << 64) - 1
_TAIL_OCTETS = 1 << 17
"""A page has 65,307 octets at most: the last whole one lies in here."""


def ogg_duration_s(path: Path) -> float:
    """The moment at which the last page ends; 0 for what is no such file, or has no audio."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_OCTETS))
            tail = file.read(_TAIL_OCTETS)
    except OSError:
        return 0.0
    end = len(tail)
    while (at := tail.rfind(_CAPTURE, 0, end)) >= 0:
        granule = int.from_bytes(tail[at + 6 : at + 14], "little")
        if at + _HEADER_OCTETS <= len(tail) and granule != _UNKNOWN:
            return granule / _RATE
        end = at
    return 0.0
