"""From the JSON of a homeserver to events: what is broken is told apart from what is good."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import TrunklineError
from bridge.core.ids import EventId, RoomId, UserId
from bridge.matrix.events import Json, RoomEvent
from bridge.store.inbox import DeadLetter, NewEvent, StoredEvent

_MAX_ID = 255
"""Specification, "Size limits"."""
_MAX_BODY = 512 * 1024
"""An event is at most 64 KiB; written in ASCII it can grow sixfold."""


class NotJsonError(TrunklineError):
    """A body that no reading makes sense of."""


class BrokenEventError(TrunklineError):
    """An event that cannot be handled; `reason` is a snake_case word from a closed set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An event on its way to be worked on."""

    position: int
    event: RoomEvent
    from_public_room: bool = False
    """An invite into a room that anybody may join."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEvent:
    """An event fit to be stored, with what is needed to decide whether it should be."""

    new: NewEvent
    sender: UserId
    is_state: bool
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A transaction taken apart."""

    good: tuple[CheckedEvent, ...]
    broken: tuple[DeadLetter, ...]
    body_hash: str


def load_json(body: bytes) -> Any:
    """Read JSON, forgiving everything but what is no JSON at all: a refused transaction comes back for ever."""
    text = body.decode("utf-8", errors="replace")
    try:
        return _parsed(text)
    except RecursionError as error:
        raise NotJsonError("nested too deeply") from error
    except ValueError as error:
        raise NotJsonError("not JSON") from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers of more than 4300 digits; JSON does not. What follows the first may still be broken.
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def take_apart(document: Any, *, now_ms: float) -> Delivery:
    """Sort the events of a transaction into good and broken ones; nothing in it is an error of the whole."""
    events = document.get("events") if isinstance(document, Mapping) else None
    if not isinstance(events, list):
        return _delivery([], [] if isinstance(document, Mapping) and events is None else [("no_events", document)])
    good: list[CheckedEvent] = []
    broken: list[tuple[str, object]] = []
    over = hung_up_later(events)
    for index, raw in enumerate(events):
        try:
            good.append(check_event(raw, now_ms=now_ms, hung_up=index in over))
        except BrokenEventError as error:
            broken.append((error.reason, raw))
    return _delivery(good, broken)


def _delivery(good: list[CheckedEvent], broken: list[tuple[str, object]]) -> Delivery:
    letters = tuple(DeadLetter(reason=reason, body=json.dumps(_stable(raw))) for reason, raw in broken)
    digest = hashlib.sha256()
    for part in (*(event.new.event_id for event in good), *(letter.body for letter in letters)):
        digest.update(part.encode() + b"\n")
    return Delivery(good=tuple(good), broken=letters, body_hash=digest.hexdigest())


def _stable(raw: object) -> object:
    """A homeserver computes `unsigned.age` anew each time it repeats a transaction."""
    if not isinstance(raw, Mapping):
        return raw
    return {key: value for key, value in raw.items() if key not in {"unsigned", "age"}}


def hung_up_later(events: Sequence[object]) -> frozenset[int]:
    """Which of these events are invites that their sender hangs up further on.

    Nothing may ring for them: a client signals a call only when it has read all that came with it (specification, VoIP,
    `m.call.invite`).
    """
    hung_up: set[tuple[str, ...]] = set()
    over: set[int] = set()
    for index, raw in reversed(list(enumerate(events))):
        kind, call = _call_of(raw)
        if call is None:
            continue
        if kind == "m.call.hangup":
            hung_up.add(call)
        elif kind == "m.call.invite" and call in hung_up:
            over.add(index)
    return frozenset(over)


def _call_of(raw: object) -> tuple[object, tuple[str, ...] | None]:
    """The type of an event, and what names the call of its sender."""
    if not isinstance(raw, Mapping) or not isinstance(content := raw.get("content"), Mapping):
        return None, None
    names = (raw.get("room_id"), raw.get("sender"), content.get("call_id"))
    return raw.get("type"), tuple(map(str, names)) if all(isinstance(name, str) for name in names) else None


def check_event(raw: object, *, now_ms: float, hung_up: bool = False) -> CheckedEvent:
    """Check an event's envelope; `hung_up` says that its call is over. Raises :class:`BrokenEventError`."""
    if not isinstance(raw, Mapping):
        raise BrokenEventError("not_an_object")
    content = raw.get("content")
    if not isinstance(content, Mapping):
        raise BrokenEventError("content")
    is_state = raw.get("state_key") is not None
    kept: dict[str, object] = {
        "sender": _identifier(raw, "sender"),
        "type": _identifier(raw, "type"),
        "content": content,
        "state_key": _identifier(raw, "state_key", empty=True) if is_state else None,
        "age": (age_ms := _age_ms(raw, now_ms)),
        "public": _invites_into_public_room(raw),
        "hung_up": hung_up,
    }
    return CheckedEvent(new=_new_event(raw, kept), sender=UserId(str(kept["sender"])), is_state=is_state, age_ms=age_ms)


def _new_event(raw: Json, kept: Json) -> NewEvent:
    body = json.dumps(kept)
    if len(body) > _MAX_BODY:
        raise BrokenEventError("too_large")
    event_id, room_id = _identifier(raw, "event_id"), _identifier(raw, "room_id")
    return NewEvent(event_id=EventId(event_id), room_id=RoomId(room_id), body=body)


def _identifier(raw: Json, key: str, *, empty: bool = False) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or len(value) > _MAX_ID or not (value or empty):
        raise BrokenEventError(key)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BrokenEventError(key)
    return value


def _milliseconds(value: object) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if usable and isinstance(value, int) else None


def _age_ms(raw: Json, now_ms: float) -> int:
    """`unsigned.age` is measured by the homeserver's own clock; only without it do two clocks have to agree."""
    unsigned = raw.get("unsigned")
    age = unsigned.get("age") if isinstance(unsigned, Mapping) else None
    if isinstance(age, int) and not isinstance(age, bool) and age < 1 << 53:
        return max(0, age)
    sent = _milliseconds(raw.get("origin_server_ts"))
    return 0 if sent is None else max(0, int(now_ms) - sent)


def _invites_into_public_room(raw: Json) -> bool:
    """Whether the stripped state of an invite says `join_rule: public`."""
    unsigned = raw.get("unsigned")
    stripped = unsigned.get("invite_room_state") if isinstance(unsigned, Mapping) else None
    if not isinstance(stripped, list):
        return False
    rules = [e.get("content") for e in stripped if isinstance(e, Mapping) and _is_join_rules(e)]
    return any(isinstance(rule, Mapping) and rule.get("join_rule") == "public" for rule in rules)


def _is_join_rules(stripped: Json) -> bool:
    """Specification, `m.room.join_rules`: the state key is empty; with another one it says nothing of the room."""
    return stripped.get("type") == "m.room.join_rules" and stripped.get("state_key", "") == ""


def arrival(stored: StoredEvent, *, now: float, now_wall: float) -> Arrival:
    """An event read back from the store, `now` being monotonic; it has aged while it lay there."""
    raw = json.loads(stored.body)
    lain_ms = max(0, int((now_wall - stored.received_at) * 1000))
    event = RoomEvent(
        event_id=stored.event_id,
        room_id=stored.room_id,
        sender=UserId(raw["sender"]),
        type=raw["type"],
        content=raw["content"],
        state_key=raw["state_key"],
        age_ms=raw["age"] + lain_ms,
        received_at=now,
        hung_up=raw.get("hung_up", False),
    )
    return Arrival(position=stored.position, event=event, from_public_room=raw["public"])
