"""Keys that came by signalling, written as events of an RTP stream (RFC 4733)."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.media.dtmf import TelephoneEvent

KEYS = "0123456789*#ABCD!"
"""In the order of their event codes; the last is the hook flash (RFC 4733 §3.2)."""
_MOST_WAITING = 64
_TICK_MS = 20
_SHORTEST_MS, _LONGEST_MS = 60, 6_000
_VOLUME = 10
_ENDS = 3
"""How often the end is sent, in case it is lost (RFC 4733 §2.5.1.4)."""
_GAP_TICKS = 3
"""Without a pause two equal keys would be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPacket:
    """One event packet; its time is that of the key's beginning."""

    event: int = field(repr=False)
    elapsed_ms: int
    first: bool
    end: bool

    def payload(self, clock_rate: int) -> bytes:
        """The packet for a stream whose events have this clock."""
        duration = min(self.elapsed_ms * clock_rate // 1000, 0xFFFF)
        return bytes(TelephoneEvent(event=self.event, end=self.end, volume=_VOLUME, duration=duration))


class Keypad:
    """One key after the other, a packet every 20 ms."""

    def __init__(self) -> None:
        self._waiting: deque[KeyPacket | None] = deque()

    @property
    def busy(self) -> bool:
        """Whether a key is being pressed: audio waits meanwhile."""
        return bool(self._waiting)

    def press(self, digits: str, duration_ms: int) -> None:
        """Press keys after those that wait. Too many, or what is no key, are left out."""
        duration_ms = min(max(duration_ms, _SHORTEST_MS), _LONGEST_MS)
        for digit in digits[:_MOST_WAITING]:
            event = KEYS.find(digit.upper())
            if event >= 0 and len(self._waiting) < _MOST_WAITING * _LONGEST_MS // _TICK_MS:
                self._waiting.extend(_packets(event, duration_ms))

    def next(self) -> KeyPacket | None:
        """What is due now; `None` in the pause after a key."""
        return self._waiting.popleft() if self._waiting else None


def _packets(event: int, duration_ms: int) -> Iterator[KeyPacket | None]:
    for elapsed in range(_TICK_MS, duration_ms, _TICK_MS):
        yield KeyPacket(event=event, elapsed_ms=elapsed, first=elapsed == _TICK_MS, end=False)
    yield from [KeyPacket(event=event, elapsed_ms=duration_ms, first=False, end=True)] * _ENDS
    yield from [None] * _GAP_TICKS
