"""Pages of calls, those that are written down and those that go on together: in one order, the newest first."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter

from bridge.app.call_tracing import traced
from bridge.app.live_call import LiveCall
from bridge.calls.call import Call
from bridge.store.traces.rows import CallFilter, Place, TracedCall


def live_page(calls: Iterable[LiveCall], wanted: CallFilter, now: float) -> list[TracedCall]:
    """Live ones that a filter lets pass, by nothing that a disk has; no more of them are described than are wanted."""
    fitting = ((_place(live.call), live) for live in calls if _passes(live, wanted))
    page = heapq.nlargest(wanted.limit, fitting, key=lambda placed: placed[0])
    return [_going_on(live.call, now) for _, live in page]


def joined(live: Sequence[TracedCall], written: Sequence[TracedCall], limit: int) -> list[TracedCall]:
    """One page of two. A call that is on both is as it goes on, unless it is over since."""
    over = (call for call in written if call.ended_at is not None)
    known = {call.call_id: call for call in (*written, *live, *over)}
    return heapq.nlargest(limit, known.values(), key=attrgetter("place"))


def _passes(live: LiveCall, wanted: CallFilter) -> bool:
    """As `TraceReader.calls` judges; what goes on has neither result nor reason."""
    call = live.call
    if wanted.result or wanted.reason or (wanted.before is not None and _place(call) >= wanted.before):
        return False
    if wanted.direction not in ("", call.direction) or wanted.trunk not in ("", call.trunk):
        return False
    return not wanted.text or _is_named(live, wanted.text)


def _is_named(live: LiveCall, text: str) -> bool:
    call, part = traced(live.call), text.lower()
    if any(part in word.lower() for word in (call.user, call.number, call.own_number)):
        return True
    return text == call.call_id or text in live.told_names


def _place(call: Call) -> Place:
    return Place(began_at=call.began_wall, call_id=call.call_id)


def _going_on(call: Call, now: float) -> TracedCall:
    answered = call.at.answered
    return replace(traced(call), talk_s=0.0 if answered is None else now - answered)
