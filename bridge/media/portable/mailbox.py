"""What a worker has for the engine, and the descriptor that wakes it."""

import os
from collections import Counter

from bridge.media.latch import Address
from bridge.media.packet_engine import Contents

_MOST_WAITING = 64
"""Datagrams of one call that may wait: what a flood brings beyond them is lost."""


class Mailbox:
    """Filled by the calls of a worker, emptied by the engine."""

    def __init__(self, wake: int) -> None:
        """`wake` is an eventfd."""
        self._wake = wake
        self._contents: Contents = ([], [])
        self._waiting: Counter[int] = Counter()

    def give_back(self, call: int, socket: int, datagram: bytes, source: Address) -> bool:
        """A connectivity check or DTLS; `False` when too many of this call wait."""
        if self._waiting[call] >= _MOST_WAITING:
            return False
        self._waiting[call] += 1
        self._ring()
        self._contents[0].append((call, socket, datagram, source))
        return True

    def tell(self, call: int, kind: str, value: int = 0, duration_ms: int = 0) -> None:
        """Something has happened in a call."""
        self._ring()
        self._contents[1].append((call, kind, value, duration_ms))

    def _ring(self) -> None:
        """Wake the engine with the first thing that waits."""
        if not any(self._contents):
            os.eventfd_write(self._wake, 1)

    def empty(self) -> Contents:
        """Take everything. Whoever was woken has read the eventfd already."""
        contents, self._contents = self._contents, ([], [])
        self._waiting.clear()
        return contents
