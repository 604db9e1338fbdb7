"""One heap of deadlines for the whole user agent.

A timer per transaction in the event loop would cost a heap entry and a closure each; here a timer is one small object,
cancelling it is one assignment, and the loop is told only the earliest deadline.
"""

import heapq
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Payload = TypeVar("Payload")

_COMPACT_ABOVE = 64


class Timer(Generic[Payload]):
    """One deadline; `payload` says what is due then."""

    __slots__ = ("active", "deadline", "order", "payload")

    def __init__(self, deadline: float, order: int, payload: Payload) -> None:
        self.deadline = deadline
        self.order = order
        self.payload: Payload | None = payload
        self.active = True

    def __lt__(self, other: "Timer[Payload]") -> bool:
        return (self.deadline, self.order) < (other.deadline, other.order)


@dataclass(slots=True, kw_only=True)
class TimerHeap(Generic[Payload]):
    """Timers by deadline; equal deadlines come out in the order in which they were set."""

    _heap: list[Timer[Payload]] = field(default_factory=list)
    _order: int = 0
    _cancelled: int = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def schedule(self, deadline: float, payload: Payload) -> Timer[Payload]:
        """Have `payload` come out of `due` at `deadline`."""
        self._order += 1
        timer = Timer(deadline, self._order, payload)
        heapq.heappush(self._heap, timer)
        return timer

    def cancel(self, timer: Timer[Payload]) -> None:
        """Forget a timer; one that has come out or was cancelled already is left alone."""
        if not timer.active:
            return
        timer.active = False
        # It stays in the heap until its time or until a clearing; what it was for, a whole call, must not.
        timer.payload = None
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._compact()

    def next_deadline(self) -> float | None:
        """When `due` has to be called next."""
        self._drop_cancelled()
        return self._heap[0].deadline if self._heap else None

    def due(self, now: float) -> Payload | None:
        """Take out the earliest payload whose deadline has passed, or `None`.

        One at a time, because what is done for one may cancel the next.
        """
        self._drop_cancelled()
        if not self._heap or self._heap[0].deadline > now:
            return None
        timer = heapq.heappop(self._heap)
        timer.active = False
        return timer.payload

    def _drop_cancelled(self) -> None:
        while self._heap and not self._heap[0].active:
            heapq.heappop(self._heap)
            self._cancelled -= 1

    def _compact(self) -> None:
        self._heap = [timer for timer in self._heap if timer.active]
        heapq.heapify(self._heap)
        self._cancelled = 0
