"""How many calls a trunk carries: at the same time, and begun per second in each direction.

Trunks bill, or lock out, who exceeds what was agreed. A call to an emergency number is never stopped nor made to wait,
and the number that it showed can be called back for an hour.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.core.ids import DialogKey
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.bucket import Bucket
from bridge.sip.checks import Refusal
from bridge.sip.context import Context
from bridge.sip.events import CallFailed, IncomingRefused, OutgoingCall
from bridge.sip.identity import called_of
from bridge.sip.incoming_call import refused_call
from bridge.sip.message import Request
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState

MAX_WAIT_S = 2.0
"""A caller notices longer silence; another trunk may be free meanwhile."""

MAX_ABOVE = 10
"""Calls back above a trunk's `max_calls`, of all its numbers together: they must not take what the trunk can bear."""

TOLD_PER_S = 2.0
"""Calls in that a limit keeps out and that are recorded, of each trunk: each record is a line on a disk and a trace. A
trunk that begins 200 calls a second, as the gate lets it, would write 17 million lines a day; so it is 170 thousand.
"""
TOLD_BURST = 60.0
"""So many at once: all calls of a busy minute are recorded."""

_RETRY_AFTER_S = (1, 5)


class Waiting(NamedTuple):
    """A call whose turn has not come."""

    dialog: DialogKey
    call: OutgoingCall


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnTimer:
    """The next call may begin."""

    limits: "CallLimits"


@dataclass(slots=True, kw_only=True, eq=False)
class CallLimits:
    """The limits of one trunk. `place` begins a call."""

    state: TrunkState
    context: Context
    place: Callable[[DialogKey, OutgoingCall, float], None]
    outgoing: Bucket | None = None
    incoming: Bucket | None = None
    waiting: deque[Waiting] = field(default_factory=deque)
    timer: "Timer[object] | None" = None
    told: Bucket = field(default_factory=lambda: Bucket(rate=TOLD_PER_S, burst=TOLD_BURST, level=TOLD_BURST, at=0.0))

    @classmethod
    def of(
        cls, state: TrunkState, context: Context, place: Callable[[DialogKey, OutgoingCall, float], None]
    ) -> "CallLimits":
        """The limits that a trunk's settings name."""
        outgoing, incoming = _bucket(state.trunk.max_calls_per_s), _bucket(state.trunk.max_incoming_per_s)
        return cls(state=state, context=context, place=place, outgoing=outgoing, incoming=incoming)

    def follow(self, now: float) -> None:
        """Go by the trunk's settings as they are now; a rate that stays remembers its last calls."""
        trunk = self.state.trunk
        if _rate(self.incoming) != trunk.max_incoming_per_s:
            self.incoming = _bucket(trunk.max_incoming_per_s)
        if _rate(self.outgoing) != trunk.max_calls_per_s:
            self.outgoing = _bucket(trunk.max_calls_per_s)
            self.fire(now)

    def leave(self) -> None:
        """The trunk carries no new calls; another one may have those that wait."""
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None
        while self.waiting:
            dialog = self.waiting.popleft().dialog
            self.context.emit(CallFailed(dialog=dialog, status=503, reason_phrase="Trunk Is Gone", local=True))

    def ask(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        """Begin a call now, or when its turn comes, or not at all."""
        if call.called in self.context.settings.emergency:
            self._call_for_help(dialog, call, now)
        elif not self._is_limited:
            self.place(dialog, call, now)
        elif self._is_full():
            self._refuse(dialog, "max_calls")
        elif self.outgoing is None or (not self.waiting and self.outgoing.take(now)):
            self.place(dialog, call, now)
        elif self._wait_s(self.outgoing, len(self.waiting) + 1) > MAX_WAIT_S:
            self._refuse(dialog, "max_calls_per_s")
        else:
            self.waiting.append(Waiting(dialog, call))
            self._plan(self.outgoing, now)

    def fire(self, now: float) -> None:
        """Begin the calls whose turn has come, in their order."""
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None
        while self.waiting and (self.outgoing is None or self.outgoing.take(now)):
            self.place(*self.waiting.popleft(), now)
        if self.outgoing is not None:
            self._plan(self.outgoing, now)

    def give_up(self, dialog: DialogKey) -> bool:
        """Let a waiting call go; false if this is none."""
        found = next((item for item in self.waiting if item.dialog == dialog), None)
        if found is None:
            return False
        self.waiting.remove(found)
        phrase = "Request Terminated"
        self.context.emit(CallFailed(dialog=dialog, status=487, reason_phrase=phrase, local=True))
        return True

    def stop(self) -> None:
        """Let all waiting calls go."""
        while self.waiting:
            self.give_up(self.waiting[0].dialog)

    def turns_away(self, server: ActiveServer, now: float) -> bool:
        """Whether a call of the trunk is not taken; if so it has been refused, and told for its record.

        In a flood most are counted alone, as if the gate had turned them away.
        """
        request = server.request
        limit = self._exceeded(request, now)
        if limit is None:
            return False
        self._count(limit)
        self.context.layer.respond(server, self._refusal(limit).response(request, self.context.tag()), now)
        if self.told.take(now):
            self.context.emit(IncomingRefused(limit=limit, call=refused_call(self.context, self.state, request)))
        return True

    def _call_for_help(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        self.place(dialog, call, now)
        if dialog in self.context.usages:
            self.context.call_backs.expect(dialog, call.caller, now)

    def _exceeded(self, request: Request, now: float) -> str | None:
        """What keeps a call out, unless whoever helps may call back by it."""
        limit = self._limit(request, now)
        if limit is None or self._is_full(above=MAX_ABOVE):
            return limit
        return None if self.context.call_backs.take(called_of(request, self.state), now) else limit

    def _limit(self, request: Request, now: float) -> str | None:
        """Over its rate, or busy on all lines; what takes the place of a call takes its line as well (RFC 3891)."""
        if self.incoming is not None and not self.incoming.take(now):
            return "max_incoming_per_s"
        return "max_calls" if "Replaces" not in request.headers and self._is_full() else None

    def _refusal(self, limit: str) -> Refusal:
        if limit == "max_calls":
            return Refusal(status=486)
        wait_s = self.context.entropy.integer(*_RETRY_AFTER_S)
        return Refusal(status=503, fields=(("Retry-After", str(wait_s)),))

    @property
    def _is_limited(self) -> bool:
        return bool(self.state.trunk.max_calls) or self.outgoing is not None

    def _is_full(self, *, above: int = 0) -> bool:
        limit = self.state.trunk.max_calls
        if not limit:
            return False
        name = self.state.trunk.name
        carried = sum(usage.trunk.trunk.name == name for usage in self.context.usages.values())
        return carried + len(self.waiting) >= limit + above

    def _wait_s(self, bucket: Bucket, place: int) -> float:
        return (place - bucket.level) / bucket.rate

    def _plan(self, bucket: Bucket, now: float) -> None:
        if self.waiting and self.timer is None:
            deadline = now + max(0.0, self._wait_s(bucket, 1))
            self.timer = self.context.timers.schedule(deadline, TurnTimer(limits=self))

    def _refuse(self, dialog: DialogKey, limit: str) -> None:
        self._count(limit)
        self.context.emit(CallFailed(dialog=dialog, status=503, reason_phrase="Trunk Is Full", local=True))

    def _count(self, limit: str) -> None:
        self.context.count("calls_limited_total", trunk=str(self.state.trunk.name), limit=limit)


def _rate(bucket: Bucket | None) -> float:
    return bucket.rate if bucket is not None else 0.0


def _bucket(rate: float) -> Bucket | None:
    """Never more in one second than the trunk's rate, however long it was quiet before."""
    return Bucket(rate=rate, burst=max(1.0, rate), level=max(1.0, rate), at=0.0) if rate else None
