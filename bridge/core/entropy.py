"""Random identifiers as a dependency, so that the pure cores are deterministic under test."""

import random
import secrets
import string
from typing import Protocol

_ALPHANUMERIC = string.ascii_letters + string.digits
_FAIR = len(_ALPHANUMERIC) * (256 // len(_ALPHANUMERIC))
_TO_ALPHANUMERIC = (_ALPHANUMERIC * 5).encode()[:256]
_NEITHER = bytes(range(_FAIR, 256))
"""Bytes that are left out, or some characters would be likelier than others."""


class Entropy(Protocol):
    """A source of unguessable values."""

    def token(self, length: int) -> str:
        """`length` characters of `[A-Za-z0-9]`."""
        ...

    def integer(self, low: int, high: int) -> int:
        """A whole number with `low <= n <= high`."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A real number between `low` and `high`."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def __init__(self) -> None:
        self._random = secrets.SystemRandom()

    def token(self, length: int) -> str:
        token = b""
        while len(token) < length:
            token += secrets.token_bytes(2 * length).translate(_TO_ALPHANUMERIC, _NEITHER)
        return token[:length].decode()

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class SeededEntropy:
    """A repeatable generator for tests; never for production."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, length: int) -> str:
        return "".join(self._random.choices(_ALPHANUMERIC, k=length))

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
