"""Values that identify a person: usable in code, redacted wherever they are printed."""

import hashlib
import hmac
import secrets
from typing import Any

_KEY = bytearray(secrets.token_bytes(16))
"""Changed only by :func:`use_redaction_key`: one key for each installation makes hashes comparable over restarts."""


def use_redaction_key(key: bytes) -> None:
    """Hash redacted values with `key` from now on; called once at start."""
    _KEY[:] = key


class Pii:
    """A telephone number, user id, display name or address. `str()`, `repr()` and logs show a keyed hash of it."""

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        self._reveal = value

    def reveal(self) -> str:
        """The value itself: for the wire, never for a log."""
        return self._reveal

    def __str__(self) -> str:
        digest = hmac.new(bytes(_KEY), self._reveal.encode(errors="replace"), hashlib.sha256).hexdigest()[:8]
        return f"[redacted#{digest}]"

    __repr__ = __str__

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Pii) and other._reveal == self._reveal

    def __hash__(self) -> int:
        return hash(self._reveal)
