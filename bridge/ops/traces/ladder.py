"""The life of a call on a terminal of 100 columns."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bridge.ops.logs import UNSEEN
from bridge.ops.traces.audio import Interval, Sound, intervals, samples_of
from bridge.ops.traces.items import Kind, Way
from bridge.ops.traces.showing import Showing, summary_of
from bridge.store.database import StoreError
from bridge.store.traces.reader import TraceReader
from bridge.store.traces.rows import CallFilter, TracedCall, TraceEntry

WIDTH = 100
_TIME = 10
_LEFT = 40
_RIGHT = WIDTH - _TIME - _LEFT - 1
LAST_CALLS = 20
_WAYS = {"outbound": "out", "inbound": "in"}
MAX_AUDIO_LINES = 40
"""Of a long call, every so-many-th interval is shown."""


def ladder_of(file: Path, name: str, showing: Showing, *, messages: bool) -> list[str]:
    """The ladder of each call that has this name. Raises :class:`StoreError` when there is none."""
    reader = TraceReader(file)
    lines: list[str] = []
    for call_id in reader.find(name):
        if (call := reader.call(call_id)) is not None:
            names, entries = reader.names(call_id), reader.entries(call_id)
            lines += [*([""] if lines else []), *ladder(call, names, entries, showing, messages=messages)]
    if not lines:
        raise StoreError("no trace of such a call; `trunkline trace` without a name lists the last ones")
    return lines


def overview_of(file: Path, showing: Showing) -> list[str]:
    """The last calls."""
    return overview(TraceReader(file).calls(CallFilter(limit=LAST_CALLS)), showing) or ["no calls yet"]


def ladder(
    call: TracedCall, names: Sequence[str], entries: Sequence[TraceEntry], showing: Showing, *, messages: bool = False
) -> list[str]:
    """Lines of text: who, the steps with their times, the sound. With `messages`, SIP messages in full."""
    lines = [
        *_head(call, names, showing),
        "",
        f"{'seconds':>{_TIME - 2}}  {'client':<{_LEFT}}│{'phone':>{_RIGHT}}",
        *_steps(call, entries, showing, messages=messages),
        "",
        *_sound(call, intervals(samples_of(entries))),
    ]
    return [line.translate(UNSEEN).rstrip() for line in lines]


def overview(calls: Iterable[TracedCall], showing: Showing) -> list[str]:
    """A line for each call, with its outcome whole: the trunk, which comes last, has what is left of the line."""
    listed = [(call, outcome(call)) for call in calls]
    width = max((len(ending) for _, ending in listed), default=0)
    lines = [
        f"{_moment(call.began_at)[5:19]}  {call.call_id:<21}{_WAYS.get(call.direction, ''):<4}"
        f"{showing.person(call.number)[:19]:<20}{ending:<{width}}  {call.trunk}"
        for call, ending in listed
    ]
    return [_cut(line.translate(UNSEEN).rstrip(), WIDTH) for line in lines]


def outcome(call: TracedCall) -> str:
    """How a call ended."""
    return f"{call.result}: {call.reason}" if call.ended_at is not None else "goes on"


def _head(call: TracedCall, names: Sequence[str], showing: Showing) -> Iterator[str]:
    over = f" over trunk {call.trunk}" if call.trunk else ""
    yield f"Call {call.call_id}, {call.direction}{over}, begun {_moment(call.began_at)} UTC"
    user, number = showing.person(call.user), showing.person(call.number)
    yield f"{user} calls {number}" if call.direction == "outbound" else f"{number} calls {user}"
    for name in names:
        yield f"also known as {showing.name(name)}"[:WIDTH]
    if call.ended_at is None:
        yield "The call goes on."
    else:
        status = f", SIP status {call.sip_status}" if call.sip_status else ""
        by = f" by {call.ended_by}" if call.ended_by else ""
        yield f"Ended{by} after {call.talk_s:.1f} s of talk: {outcome(call)}{status}"


def _steps(call: TracedCall, entries: Iterable[TraceEntry], showing: Showing, *, messages: bool) -> Iterator[str]:
    for entry in entries:
        if entry.kind == Kind.AUDIO:
            continue
        time = f"{entry.at - call.began_at:>{_TIME - 2}.3f}  "
        yield time + _arrow(entry, showing.text(entry.title))
        if (summary := summary_of(entry)) and entry.way != Way.NONE:
            yield " " * _TIME + _beside(entry, showing.text(summary))
        if messages and entry.kind == Kind.SIP:
            yield from (f"{'':{_TIME}}┊ {line}" for line in showing.detail(entry).splitlines())


def _arrow(entry: TraceEntry, title: str) -> str:
    match entry.kind, entry.way:
        case Kind.MATRIX, Way.IN:
            return f"{_cut(title, _LEFT - 5)} {'─' * (_LEFT - 2 - len(_cut(title, _LEFT - 5)))}▶│"
        case Kind.MATRIX, Way.OUT:
            return f"◀{'─' * (_LEFT - 2 - len(_cut(title, _LEFT - 5)))} {_cut(title, _LEFT - 5)}│"
        case Kind.SIP, Way.OUT:
            return f"{'':{_LEFT}}│{_cut(title, _RIGHT - 5)} {'─' * (_RIGHT - 2 - len(_cut(title, _RIGHT - 5)))}▶"
        case Kind.SIP, _:
            return f"{'':{_LEFT}}│◀{'─' * (_RIGHT - 2 - len(_cut(title, _RIGHT - 5)))} {_cut(title, _RIGHT - 5)}"
        case Kind.VERDICT, _:
            return f"{'':{_LEFT}}│ {_cut(f'verdict: {title}', _RIGHT - 2)}"
        case _:
            beside = f" ({entry.detail})" if entry.detail else ""
            return f"{'':{_LEFT}}│ {_cut(title + beside, _RIGHT - 2)}"


def _beside(entry: TraceEntry, summary: str) -> str:
    """Under the arrow, on its side."""
    if entry.kind == Kind.MATRIX:
        return f"{_cut('  ' + summary, _LEFT):<{_LEFT}}│"
    return f"{'':{_LEFT}}│{_cut('   ' + summary, _RIGHT)}"


def _sound(call: TracedCall, sound: Sequence[Interval]) -> Iterator[str]:
    if not sound:
        yield "No audio was measured."
        return
    yield f"{'':{_TIME}}{'from the client':<{_LEFT}}│from the phone"
    yield f"{'seconds':>{_TIME - 2}}  {_COLUMNS:<{_LEFT}}│{_COLUMNS}"
    for interval in sound[:: -(-len(sound) // MAX_AUDIO_LINES)]:
        time = f"{interval.at - call.began_at:>{_TIME - 2}.1f}  "
        yield f"{time}{_figures(interval.client):<{_LEFT}}│{_figures(interval.phone)}"


_COLUMNS = f"{'codec':<6}{'packets/s':>10}{'loss %':>8}{'jitter':>8}{'MOS':>6}"


def _figures(sound: Sound) -> str:
    mos = f"{sound.mos:.1f}" if sound.mos is not None else "-"
    return (
        f"{sound.codec or '-':<6}{sound.packets_per_s:>10.1f}{sound.loss_percent:>8.1f}{sound.jitter_ms:>8.1f}{mos:>6}"
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
