"""Candidates that come before their invite, as can happen between federated servers: kept a while, within bounds."""

from collections import OrderedDict

from bridge.calls.matrix_events import CandidatesReceived
from bridge.core.ids import MatrixCallId, RoomId

MAX_CALLS = 100
MAX_CANDIDATES_OF_A_CALL = 100
KEPT_S = 120.0

Key = tuple[RoomId, MatrixCallId]


class EarlyCandidates:
    """The oldest calls give way when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[float, list[CandidatesReceived]]] = OrderedDict()

    def keep(self, room_id: RoomId, event: CandidatesReceived, now: float) -> None:
        """Hold on to candidates of a call that nobody knows yet."""
        self._forget(now)
        _, events = self._kept.setdefault((room_id, event.matrix_call_id), (now + KEPT_S, []))
        room_left = MAX_CANDIDATES_OF_A_CALL - sum(len(kept.candidates) for kept in events)
        if 0 < len(event.candidates) <= room_left:
            events.append(event)
        if len(self._kept) > MAX_CALLS:
            self._kept.popitem(last=False)

    def _forget(self, now: float) -> None:
        """Those whose time is up: the oldest come first."""
        while self._kept and next(iter(self._kept.values()))[0] < now:
            self._kept.popitem(last=False)

    def take(self, room_id: RoomId, matrix_call_id: MatrixCallId, now: float) -> list[CandidatesReceived]:
        """What came before this call's invite; handed over once."""
        self._forget(now)
        _, events = self._kept.pop((room_id, matrix_call_id), (now, []))
        return events
