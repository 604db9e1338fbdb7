"""Pictures of people, as address books hold them."""

import hashlib
from dataclasses import dataclass, field

MAX_PICTURE_BYTES = 512 * 1024

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a kind that every client shows."""

    content: bytes = field(repr=False, compare=False)
    kind: str
    """Its media type."""
    key: str
    """The same for the same picture, and for no other."""


def read_picture(content: bytes) -> Picture | None:
    """A picture by its first bytes, whatever it was called; `None` for anything else, and for what is too large."""
    kind = next((kind for signature, kind in _SIGNATURES if content.startswith(signature)), None)
    if kind is None or len(content) > MAX_PICTURE_BYTES:
        return None
    return Picture(content=content, kind=kind, key=f"sha256:{hashlib.sha256(content).hexdigest()}")
