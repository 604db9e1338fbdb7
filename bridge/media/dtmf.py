"""Digits as RTP events (RFC 4733), carried from one leg's clock and payload type to the other's.

Digits are counted, never named: they are card numbers and PINs.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.media.rtp import timestamp_delta

_LAST_DIGIT = 16
"""0 to 9, *, #, A to D, flash (RFC 4733 §3.2)."""
_LONGEST_DURATION = 0xFFFF
_END = 0x80
_REMEMBERED_SEQUENCES = 32
_END_LOST_AFTER_S = 0.2
"""Four packets of those who send the fewest: one every 50 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelephoneEvent:
    """The payload of one event packet (RFC 4733 §2.3)."""

    event: int
    end: bool
    volume: int
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> "TelephoneEvent | None":
        """Read a payload; `None` when it is too short."""
        if len(payload) < 4:
            return None
        return cls(
            event=payload[0],
            end=bool(payload[1] & _END),
            volume=payload[1] & 0x3F,
            duration=int.from_bytes(payload[2:4], "big"),
        )

    def __bytes__(self) -> bytes:
        return bytes((self.event, (_END if self.end else 0) | self.volume)) + self.duration.to_bytes(2, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedEvent:
    """One event packet for the other leg."""

    payload: bytes
    timestamp: int
    marker: bool
    first: bool
    """The first packet of a digit: what is counted."""
    end: bool


@dataclass(slots=True, kw_only=True)
class _Current:
    """The digit that is being passed on."""

    ssrc: int
    source_timestamp: int
    timestamp: int
    event: int
    carried: int = 0
    """Duration, in the target's clock, of segments that are over (RFC 4733 §2.5.1.3)."""
    reached: int = 0
    ended: bool = False


class DigitRelay:
    """Converts the events of one direction; every packet in, its end packets included, is one packet out.

    An event keeps the timestamp of its beginning on the target's audio timeline, so that a receiver sees one digit
    however often its packets are repeated (RFC 4733 §2.5.1.2).
    """

    def __init__(self) -> None:
        self._current: _Current | None = None
        self._seen: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_SEQUENCES)

    def convert(
        self,
        payload: bytes,
        *,
        ssrc: int,
        sequence: int,
        timestamp: int,
        source_rate: int,
        target_rate: int,
        position: int,
    ) -> RelayedEvent | None:
        """The packet for the target; `position` is where its audio timeline stands. `None` drops the packet."""
        event = TelephoneEvent.parse(payload)
        if event is None or event.event > _LAST_DIGIT or (ssrc, sequence) in self._seen:
            return None
        self._seen.append((ssrc, sequence))
        first = False
        if not self._continues(event, ssrc, timestamp, source_rate):
            if self._is_old(ssrc, timestamp):
                return None
            first = True
            self._current = _Current(ssrc=ssrc, source_timestamp=timestamp, timestamp=position, event=event.event)
        return self._pass_on(event, source_rate, target_rate, first=first)

    def _continues(self, event: TelephoneEvent, ssrc: int, timestamp: int, source_rate: int) -> bool:
        """Whether a packet belongs to the digit being passed on: same start, or the next segment of a long one."""
        current = self._current
        if current is None or current.ssrc != ssrc:
            return False
        if current.source_timestamp == timestamp:
            return True
        advance = timestamp_delta(timestamp, current.source_timestamp)
        segment = (
            not current.ended
            and event.event == current.event
            and abs(advance - _LONGEST_DURATION) <= source_rate * 60 // 1000
        )
        if segment:
            current.source_timestamp, current.carried = timestamp, current.reached
        return segment

    def _is_old(self, ssrc: int, timestamp: int) -> bool:
        """A straggler of an earlier digit would be heard as that digit pressed again."""
        current = self._current
        return current is not None and current.ssrc == ssrc and timestamp_delta(timestamp, current.source_timestamp) < 0

    def _pass_on(self, event: TelephoneEvent, source_rate: int, target_rate: int, *, first: bool) -> RelayedEvent:
        current = self._current
        if current is None:
            raise RuntimeError("no digit to pass on")
        duration = min(current.carried + event.duration * target_rate // source_rate, _LONGEST_DURATION)
        current.reached = max(current.reached, duration)
        current.ended = current.ended or event.end
        converted = TelephoneEvent(event=event.event, end=event.end, volume=event.volume, duration=duration)
        return RelayedEvent(
            payload=bytes(converted), timestamp=current.timestamp, marker=first, first=first, end=event.end
        )


class WholeKeys:
    """Relayed events as keys, each told once: when its end has come, or nothing of it for so long that it is lost."""

    def __init__(self) -> None:
        self._key: TelephoneEvent | None = None
        """What is known of a key that has not been told."""
        self._heard_at = 0.0
        self._told = False

    def take(self, event: RelayedEvent, now: float) -> Iterator[TelephoneEvent]:
        """Take an event; the keys that have ended by it."""
        if event.first:
            if self._key is not None:
                yield self._key
            self._told = False
        if self._told:
            return
        self._key, self._heard_at = TelephoneEvent.parse(event.payload), now
        if event.end and self._key is not None:
            yield self._key
            self._key, self._told = None, True

    def overdue(self, now: float) -> TelephoneEvent | None:
        """A key whose end is lost (RFC 4733 §2.5.1.4 sends it three times, and networks lose in bursts)."""
        key = self._key
        if key is None or now - self._heard_at < _END_LOST_AFTER_S:
            return None
        self._key, self._told = None, True
        return key
