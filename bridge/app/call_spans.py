"""A call that is over, as spans: the whole, and the stages that it went through. Pure."""

from collections.abc import Iterator, Sequence

from bridge.app.live_call import LiveCall
from bridge.calls.call import Call
from bridge.calls.state import Direction
from bridge.core.verdict import Result, Verdict
from bridge.media.engine import MediaStats
from bridge.ops.spans.model import Attribute, CallSpans, Stage

_OUR_FAULT = (Result.SERVER, Result.UPSTREAM)


def spans_of(live: LiveCall, verdict: Verdict, ended_at: float) -> CallSpans:
    """What a collector is told of a call; `ended_at` (seconds since 1970) stands in where no end was noted."""
    call = live.call
    ended = call.wall(call.at.ended) or ended_at
    fault = verdict.reason if verdict.result in _OUR_FAULT else ""
    whole = Stage(
        name=f"call {call.direction}",
        began=call.began_wall,
        ended=max(ended, call.began_wall),
        attributes={**_facts(live, verdict), **dict(_sound(live.stats))},
        moments=tuple(live.moments),
        fault=fault,
    )
    stages = list(_stages(_borders(call), call, whole.ended))
    return CallSpans(call_id=call.call_id, whole=whole, stages=tuple(stages))


def _borders(call: Call) -> Sequence[tuple[str, float | None]]:
    """The stages of a call, and when each began (on the call's clock)."""
    at = call.at
    first = ("matrix_invite" if call.direction is Direction.OUTBOUND else "sip_invite", at.invited)
    dial = [("dial", at.dialled)] if call.direction is Direction.OUTBOUND else []
    talk = None if at.connected is None or at.answered is None else max(at.connected, at.answered)
    return [first, *dial, ("ring", at.ringing), ("media_setup", at.answered), ("talk", talk)]


def _stages(borders: Sequence[tuple[str, float | None]], call: Call, ended: float) -> Iterator[Stage]:
    """Each lasts until the next one that was reached; those that never were are left out."""
    reached = [(name, wall) for name, moment in borders if (wall := call.wall(moment)) is not None]
    ends = [began for _, began in reached[1:]] + [ended]
    for (name, began), end in zip(reached, ends, strict=True):
        yield Stage(name=name, began=began, ended=max(began, end))


def _facts(live: LiveCall, verdict: Verdict) -> dict[str, Attribute]:
    call = live.call
    facts: dict[str, Attribute] = {
        "trunkline.call_id": call.call_id,
        "trunkline.direction": call.direction.value,
        "trunkline.trunk": call.trunk,
        "trunkline.result": verdict.result.value,
        "trunkline.reason": verdict.reason,
        "trunkline.ended_by": call.ended_by.value if call.ended_by is not None else "",
        "trunkline.talk_s": round(call.talk_s, 3),
        "trunkline.test": call.test,
    }
    if call.tried:
        facts["trunkline.tried"] = " ".join(call.tried)
    if not call.answered:
        facts["sip.status_code"] = call.peer_status or verdict.sip_status
    return facts


def _sound(stats: MediaStats) -> Iterator[tuple[str, Attribute]]:
    """The audio of each leg, as far as there was any."""
    for leg, numbers in (("matrix", stats.matrix), ("sip", stats.sip)):
        if numbers.codec:
            yield f"trunkline.{leg}.codec", numbers.codec
            yield f"trunkline.{leg}.packets_received", numbers.packets_received
            yield f"trunkline.{leg}.packets_lost", numbers.packets_lost
            yield f"trunkline.{leg}.jitter_ms", numbers.jitter_ms
        if numbers.mos is not None:
            yield f"trunkline.{leg}.mos", numbers.mos
