"""Finds the call of each SIP message. Pure: time is an argument.

The first INVITE of a call passes the wire before anybody knows that it is one, and the last 200 when the call is over.
So messages wait a moment for their call, and calls are known for a while after their end.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from bridge.core.ids import CallId
from bridge.ops.traces.cleaning import Cleaner, call_id_of, title_of
from bridge.ops.traces.items import CallNamed, CallSeen, Item, Kind, Noted, SipMessage, Way
from bridge.store.traces.rows import TracedCall, TraceEntry

WAIT_S = 1.0
"""How long a message waits for its call; one of no call (a registration, a refused stranger) is not kept."""
LINGER_S = 64.0
"""How long the messages of an ended call are still its own: twice as long as any transaction (RFC 3261 §17)."""
MAX_WAITING = 2_000
MAX_NAMES = 200_000
MAX_OCTETS = 1_000_000
"""Of a call's SIP messages: one whose phone sends without end must not push all others out of the file."""
_LEAST_OCTETS = 1_000
"""What each counts for."""
NOT_KEPT = "further SIP messages are not kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A message that has been sorted, without what is secret in it."""

    message: SipMessage
    payload: bytes
    call: str
    """Our name of its call; that of SIP when it belongs to none."""


@dataclass(slots=True)
class Batch:
    """What is to be written, and what is to be sent to others."""

    calls: list[TracedCall] = field(default_factory=list)
    names: list[tuple[str, CallId]] = field(default_factory=list)
    entries: list[TraceEntry] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.calls or self.names or self.entries or self.sightings)


class Sorter:
    """Takes items in the order in which they happened."""

    def __init__(self, cleaner: Cleaner) -> None:
        self.cleaner = cleaner
        """May be exchanged at any time."""
        self._calls: OrderedDict[str, CallId] = OrderedDict()
        """By Call-ID of SIP."""
        self._names: dict[CallId, list[str]] = {}
        self._octets: dict[CallId, int] = {}
        """Of the messages that were kept of each call."""
        self._over: deque[tuple[float, CallId]] = deque()
        self._waiting: deque[tuple[float, str, SipMessage]] = deque()
        self._batch = Batch()

    def take(self, item: Item, now: float) -> None:
        """One more item, at the monotonic time `now`."""
        match item:
            case Noted(entry=entry):
                self._batch.entries.append(entry)
            case CallSeen(call=call):
                self._batch.calls.append(call)
                if call.ended_at is not None:
                    self._over.append((now + LINGER_S, call.call_id))
            case CallNamed():
                self._name(item)
            case SipMessage():
                self._sort(item, now)

    def collect(self, now: float) -> Batch:
        """Everything that is ready."""
        while self._waiting and (self._waiting[0][0] <= now or self._waiting[0][1] in self._calls):
            self._pass_on(*self._waiting.popleft()[1:])
        while self._over and self._over[0][0] <= now:
            call_id = self._over.popleft()[1]
            self._octets.pop(call_id, None)
            for name in self._names.pop(call_id, ()):
                self._calls.pop(name, None)
        batch, self._batch = self._batch, Batch()
        return batch

    def _name(self, named: CallNamed) -> None:
        self._batch.names.append((named.name, named.call_id))
        if named.of_sip:
            self._calls[named.name] = named.call_id
            self._names.setdefault(named.call_id, []).append(named.name)
            while len(self._calls) > MAX_NAMES:
                self._calls.popitem(last=False)

    def _sort(self, message: SipMessage, now: float) -> None:
        sip_call_id = call_id_of(message.payload)
        if sip_call_id in self._calls and not self._waiting:
            self._pass_on(sip_call_id, message)
            return
        self._waiting.append((now + WAIT_S, sip_call_id, message))
        while len(self._waiting) > MAX_WAITING:
            self._pass_on(*self._waiting.popleft()[1:])

    def _pass_on(self, sip_call_id: str, message: SipMessage) -> None:
        payload = self.cleaner.clean(message.payload)
        call_id = self._calls.get(sip_call_id)
        self._batch.sightings.append(Sighting(message=message, payload=payload, call=call_id or sip_call_id))
        if call_id is None:
            return
        before = self._octets.get(call_id, 0)
        if before < MAX_OCTETS:
            self._octets[call_id] = before + max(len(payload), _LEAST_OCTETS)
            self._batch.entries.append(_kept(call_id, message, payload))
            if self._octets[call_id] >= MAX_OCTETS:
                self._batch.entries.append(
                    TraceEntry(call_id=call_id, at=message.at, kind=Kind.STATE, way=Way.NONE, title=NOT_KEPT)
                )


def _kept(call_id: CallId, message: SipMessage, payload: bytes) -> TraceEntry:
    return TraceEntry(
        call_id=call_id,
        at=message.at,
        kind=Kind.SIP,
        way=Way.OUT if message.outgoing else Way.IN,
        title=title_of(payload),
        detail=payload.decode(errors="replace"),
    )
