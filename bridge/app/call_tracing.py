"""Tells the recorder what happens in calls: words for events, figures of the audio, messages by their call."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bridge.app.call_spans import spans_of
from bridge.app.live_call import LiveCall
from bridge.calls import events as ev
from bridge.calls import hunt_events as huntev
from bridge.calls import matrix_events as mxev
from bridge.calls import media_events as medev
from bridge.calls import menu_events as nev
from bridge.calls import message_events as mev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.hunt_plan import HuntPlan
from bridge.calls.state import Direction, State
from bridge.core.clock import Clock, SystemClock
from bridge.core.verdict import Verdict
from bridge.matrix.events import RoomEvent
from bridge.media.engine import MediaStats
from bridge.ops.spans.model import Moment
from bridge.ops.spans.sending import SpanSink
from bridge.ops.traces.audio import interval_between
from bridge.ops.traces.items import CallNamed, CallSeen, Kind, Noted, SipMessage, Way
from bridge.ops.traces.recorder import NoRecorder, Recorder
from bridge.ops.traces.showing import description_of
from bridge.sip.io.capture import Capture, Captured, nobody
from bridge.store.traces.rows import TracedCall, TraceEntry

MEASURE_S = 5.0
"""How often the audio of each call is measured."""
_MAX_WORD = 100


class CallTracing:
    """One for all calls. Everything here is quick, and nothing here may cost a call anything."""

    def __init__(
        self, recorder: Recorder | None = None, clock: Clock | None = None, spans: SpanSink | None = None
    ) -> None:
        self._recorder = recorder or NoRecorder()
        self._clock = clock or SystemClock()
        self._spans = spans
        self.overhears: Capture = nobody
        """Who sees SIP messages besides: a test call, while it lasts."""

    def capture(self, message: Captured) -> None:
        """A SIP message passes."""
        self.overhears(message)
        if isinstance(self._recorder, NoRecorder):
            return
        self._recorder.add(
            SipMessage(
                at=self._clock.wall(),
                outgoing=message.outgoing,
                payload=message.payload,
                transport=message.transport.value,
                local=message.local,
                remote=message.remote,
            )
        )

    # The life of a call.

    def opened(self, live: LiveCall) -> None:
        """A call has begun."""
        self._recorder.add(CallSeen(call=traced(live.call)))
        self._name(live)
        if live.call.hunt is not None:
            self._note(live, Kind.STATE, Way.NONE, f"for group {live.call.hunt.group}")

    def followed(self, live: LiveCall, event: ev.Event, before: State, *, illegal: bool) -> None:
        """A call has taken an event."""
        call = live.call
        self._name(live)
        kind = type(event).__name__
        if words := _media_words(event):
            self._note(live, Kind.MEDIA, Way.NONE, *words)
        if words := _hunt_words(event):
            self._note(live, Kind.STATE, Way.NONE, *words)
        if words := _choice(event):
            self._note(live, Kind.STATE, Way.NONE, *words)
        if illegal:
            self._note(live, Kind.STATE, Way.NONE, f"{kind} has no meaning now", before)
        elif call.state is not before:
            self._note(live, Kind.STATE, Way.NONE, f"{before} → {call.state}", kind)
            if self._spans is not None:
                live.moments.append(Moment(at=self._clock.wall(), name=call.state))
        if isinstance(event, medev.MediaConnected):
            self.measure(live)

    def matrix_in(self, live: LiveCall, event: RoomEvent) -> None:
        """An event of a room belongs to a call; the moment is that at which it reached us."""
        ago_s = max(0.0, self._clock.monotonic() - event.received_at)
        self._note(live, Kind.MATRIX, Way.IN, event.type, _told(event.content), ago_s=ago_s)

    def matrix_out(self, live: LiveCall, event_type: str, content: Mapping[str, Any]) -> None:
        """An event is handed over for a room."""
        self._note(live, Kind.MATRIX, Way.OUT, event_type, _told(content))

    def finished(self, live: LiveCall, verdict: Verdict) -> None:
        """A call is over, and its media session closed."""
        call = live.call
        if live.sample is not None:
            self._take_sample(live, live.stats)
        self._note(live, Kind.VERDICT, Way.NONE, f"{verdict.result}: {verdict.reason}", verdict.user_text or "")
        now = self._clock.wall()
        self._recorder.add(CallSeen(call=traced(call, verdict, ended_at=now, cost=live.cost or 0)))
        if self._spans is not None:
            self._spans.add(spans_of(live, verdict, now))

    # Sound.

    async def measure_all(self, calls: Iterable[LiveCall]) -> None:
        """Measure every call now and then; `calls` gives those that are live whenever it is gone through."""
        while True:
            await asyncio.sleep(MEASURE_S)
            for live in calls:
                self.measure(live)

    def measure(self, live: LiveCall) -> None:
        """Note the counters of a call's audio, and what is spoken when that has changed."""
        if live.session is not None:
            self._take_sample(live, live.session.stats())

    def _take_sample(self, live: LiveCall, stats: MediaStats) -> None:
        counters = asdict(stats)
        spoken = _spoken(stats)
        if spoken != live.spoken:
            live.spoken = spoken
            self._note(live, Kind.MEDIA, Way.NONE, "codecs", spoken)
        before, live.sample = live.sample, (self._clock.wall(), counters)
        if before is not None and before[0] < live.sample[0]:
            live.sound.append(interval_between(before, live.sample))
        self._recorder.add(
            Noted(
                entry=TraceEntry(
                    call_id=live.call.call_id,
                    at=live.sample[0],
                    kind=Kind.AUDIO,
                    title="",
                    detail=json.dumps(counters),
                )
            )
        )

    # To the recorder.

    def _name(self, live: LiveCall) -> None:
        call = live.call
        second = call.second.sip_call_id if call.second is not None else None
        sip = {name for name in (call.sip_call_id, second) if name}
        matrix = {matrix_call_id for _, matrix_call_id in live.matrix_calls} - {""}
        for name in (sip | matrix) - live.told_names:
            live.told_names.add(name)
            self._recorder.add(CallNamed(call_id=call.call_id, name=name, of_sip=name in sip))

    def _note(self, live: LiveCall, kind: Kind, way: Way, title: str, detail: str = "", *, ago_s: float = 0.0) -> None:
        at = self._clock.wall() - ago_s
        entry = TraceEntry(call_id=live.call.call_id, at=at, kind=kind, way=way, title=title, detail=detail)
        self._recorder.add(Noted(entry=entry))


def traced(call: Call, verdict: Verdict | None = None, *, ended_at: float | None = None, cost: int = 0) -> TracedCall:
    """A call as lists have it."""
    return TracedCall(
        call_id=call.call_id,
        began_at=call.began_wall,
        ended_at=ended_at,
        direction=call.direction,
        trunk=call.trunk,
        user=call.called_party,
        number=call.number,
        own_number=call.caller if call.direction is Direction.OUTBOUND else call.called,
        result=verdict.result if verdict else "",
        reason=verdict.reason if verdict else "",
        sip_status=(call.peer_status or verdict.sip_status) if verdict and not call.answered else 0,
        talk_s=call.talk_s if verdict else 0.0,
        ended_by=(call.ended_by or "") if verdict else "",
        cost=cost,
    )


def _media_words(event: ev.Event) -> tuple[str, str] | None:
    match event:
        case medev.MediaConnected():
            return "audio connected", ""
        case medev.MediaLost(reason=reason):
            return "audio lost", reason.value
        case medev.MediaRefused(verdict=verdict):
            return "audio refused", verdict.reason
        case mxev.MatrixReoffered(sdp=sdp):
            return "client offers anew", description_of(sdp)
        case sipev.SipReoffered(sdp=sdp):
            return "phone offers anew", description_of(sdp or "")
        case medev.ClientKeyPressed():
            return "key pressed by the client", ""
        case mev.PhoneKeyPressed():
            return "key pressed by the phone", ""
        case _:
            return None


def _choice(event: ev.Event) -> tuple[str, str] | None:
    """What a key of a menu has led to."""
    match event:
        case nev.MenuFound(menu=menu):
            return "menu chosen", menu.name
        case nev.PeopleFound(plan=HuntPlan(group=group)):
            return ("group chosen", group) if group else ("person chosen", "")
        case nev.PeopleFound():
            return "message box chosen", ""
        case nev.NothingFound():
            return "nothing found for the choice", ""
        case _:
            return None


def _hunt_words(event: ev.Event) -> tuple[str, str] | None:
    """Why a member of a group is not rung."""
    match event:
        case huntev.MemberJudged(refusal=Verdict() as refusal):
            return "member not rung", refusal.reason
        case huntev.MemberUnreachable(verdict=verdict):
            return "member not rung", verdict.reason
        case _:
            return None


def _spoken(stats: MediaStats) -> str:
    if not (stats.matrix.codec or stats.sip.codec):
        return ""
    how = "transcoded" if stats.transcoded else "passed through"
    return f"client {stats.matrix.codec or '-'}, phone {stats.sip.codec or '-'}, {how}"


def _told(content: Mapping[str, Any]) -> str:
    """What an event says, in a few words, none of them a person's."""
    description = next((content[key] for key in ("offer", "answer", "description") if key in content), None)
    sdp = description.get("sdp") if isinstance(description, Mapping) else None
    candidates = content.get("candidates")
    words = [
        description_of(sdp) if isinstance(sdp, str) else "",
        f"candidates: {len(candidates)}" if isinstance(candidates, list) else "",
        _word(content.get("reason")),
    ]
    return ", ".join(word for word in words if word)


def _word(value: object) -> str:
    return value[:_MAX_WORD] if isinstance(value, str) else ""
