"""What each page shows, as values for its template."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bridge.core.clock import Clock
from bridge.core.ids import CallId
from bridge.ops.console import pictures
from bridge.ops.console.desk import Desk, LiveCallView
from bridge.ops.console.rendering import short
from bridge.ops.traces.audio import intervals, samples_of
from bridge.ops.traces.showing import Showing
from bridge.store.traces.reader import TraceReader
from bridge.store.traces.rows import CallFilter, Place, Tally, TracedCall, TraceEntry

PAGE = 50
"""Calls of a list."""
STEPS = 500
"""Steps of a call on a page; few calls have as many."""
_MOST_PAGES = 1_000_000
_DAY_S, _MONTH_S = 86_400.0, 30 * 86_400.0
_MAX_TEXT = 255
_FILTERS = ("text", "direction", "trunk", "result", "reason")
DIRECTIONS = ("outbound", "inbound")
RESULTS = ("success", "client", "policy", "upstream", "server")

Values = dict[str, Any]


class Views:
    """Reads traces on a thread: the loop of the calls never waits for a disk."""

    def __init__(self, desk: Desk, traces: TraceReader | None, clock: Clock) -> None:
        self._desk = desk
        self._traces = traces
        self._clock = clock

    async def live(self, numbers: bool) -> Values:
        """Live calls, trunks, and the day so far."""
        tallies = await self._ask(lambda traces: traces.tally(since=self._clock.wall() - _DAY_S), [])
        trunks = self._desk.trunks()
        return {
            "calls": self._desk.live_calls(),
            "live_count": self._desk.live_count,
            "trunks": trunks,
            "trunks_up": sum(trunk.up and trunk.in_service for trunk in trunks),
            "draining": self._desk.draining,
            "day": _day(tallies),
            "problems": [tally for tally in tallies if tally.result in ("upstream", "server", "policy")][:5],
            **self._common(numbers),
        }

    async def calls(self, query: Mapping[str, str], numbers: bool) -> Values:
        """Calls of the past that a filter lets pass."""
        wanted = {name: query.get(name, "")[:_MAX_TEXT] for name in _FILTERS}
        before = _place(query.get("before", "")[:_MAX_TEXT])
        found = await self._ask(
            lambda traces: traces.calls(CallFilter(**wanted, before=before, limit=PAGE + 1)), list[TracedCall]()
        )
        return {
            "found": found[:PAGE],
            "older": found[PAGE - 1].place if len(found) > PAGE else None,
            "wanted": wanted,
            "trunks": self._desk.trunks(),
            "directions": DIRECTIONS,
            "results": RESULTS,
            **self._common(numbers),
        }

    async def call(self, call_id: CallId, query: Mapping[str, str], numbers: bool) -> Values | None:
        """One call, with a page of its steps; `None` when nothing is known of it."""
        live = self._desk.live_call(call_id)
        call = await self._ask(lambda traces: traces.call(call_id), None) or (_begun(live) if live else None)
        if call is None:
            return None
        names = await self._ask(lambda traces: traces.names(call_id), list[str]())
        page = _page(query.get("page", ""))
        steps = await self._ask(
            lambda traces: traces.steps(call_id, skip=(page - 1) * STEPS, limit=STEPS + 1), list[TraceEntry]()
        )
        sound = intervals(samples_of(await self._ask(lambda traces: traces.sound(call_id), list[TraceEntry]())))
        return {
            "call": call,
            "live": live,
            "names": names,
            "steps": steps[:STEPS],
            "page": page,
            "more": len(steps) > STEPS,
            "sound": sound[:: -(-len(sound) // PAGE) or 1],
            "charts": pictures.charts(sound),
            **self._common(numbers),
        }

    async def spend(self, numbers: bool) -> Values:
        """Refusals, failures and money."""
        now = self._clock.wall()
        day = await self._ask(lambda traces: traces.tally(since=now - _DAY_S), list[Tally]())
        return {
            "tallies": day,
            "spend_day": await self._ask(lambda traces: traces.spend(since=now - _DAY_S), []),
            "spend_month": await self._ask(lambda traces: traces.spend(since=now - _MONTH_S), []),
            "accounts": self._desk.accounts(),
            "suspensions": self._desk.suspensions(),
            "currency": self._desk.currency,
            **self._common(numbers),
        }

    def _common(self, numbers: bool) -> Values:
        showing = Showing(numbers=numbers)
        return {
            "numbers": numbers,
            "showing": showing,
            "who": partial(short, showing),
            "now": self._clock.wall(),
            "traces": self._traces is not None,
        }

    async def _ask(self, question: Callable[[TraceReader], Any], otherwise: Any) -> Any:
        return otherwise if self._traces is None else await asyncio.to_thread(question, self._traces)


def _day(tallies: Sequence[Tally]) -> Mapping[str, int]:
    counts = dict.fromkeys(("all", *RESULTS), 0)
    for tally in tallies:
        counts["all"] += tally.calls
        counts[tally.result] = counts.get(tally.result, 0) + tally.calls
    return counts


def _begun(live: LiveCallView) -> TracedCall:
    """A call of which nothing is written yet."""
    return TracedCall(
        call_id=live.call_id,
        began_at=live.began_at,
        direction=live.direction,
        trunk=live.trunk,
        user=live.user,
        number=live.number,
    )


def _place(text: str) -> Place | None:
    """Nothing that can be read begins with the newest."""
    try:
        return Place.parse(text)
    except ValueError:
        return None


def _page(text: str) -> int:
    return min(max(int(text), 1), _MOST_PAGES) if text.isascii() and text.isdigit() and len(text) < 10 else 1
