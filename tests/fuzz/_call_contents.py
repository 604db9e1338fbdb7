"""Contents of `m.call.*` events that no client would send: recorded ones damaged, and ones made up from the schemas."""

import copy
import json
import random
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

KINDS = ("invite", "candidates", "answer", "select_answer", "reject", "hangup", "negotiate", "replaces")
OTHERS = ("sdp_stream_metadata_changed", "asserted_identity", "reject_replacement", "member", "notify", "nonsense", "")
_FIXTURES = Path(__file__).parents[1] / "matrix" / "fixtures"


def _recorded() -> list[tuple[str, Json]]:
    events = [event for path in sorted(_FIXTURES.glob("*.json")) for event in json.loads(path.read_text())]
    # Addresses of the machine on which it was recorded must not be tried.
    local = json.loads(json.dumps(events).replace("192.0.2.2", "127.0.0.1").replace("fd00::2", "::1"))
    return [(event["type"], event["content"]) for event in local]


RECORDED = _recorded()
SDPS = [content["offer"]["sdp"] for kind, content in RECORDED if kind == "m.call.invite"]
NESTED: Any = [[[[{"a": [{"b": {"c": [[]]}}]}]]]]
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**53, 10**400, -(10**30), 0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "x", "0", "null", "\x00", "\ud800", "\U0001f4de" * 100, "v" * 70_000, "a=" * 5_000, "\r\n" * 3_000),
    *([], {}, [None], [{}], {"": None}, {"sdp": 5, "type": []}, {"type": "offer", "sdp": "v=0"}, NESTED),
    *("@alice:example.org", "offer", "answer", "pranswer", "user_busy", "replaced", "1", "candidate:1 1 udp 1 ::1 9"),
)
_FIELDS: dict[str, tuple[Any, ...]] = {
    "call_id": ("c",),
    "version": ("1", 0, 1, "0"),
    "party_id": ("A", "B"),
    "lifetime": (60_000, 5_000, 10**9),
    "invitee": ("@_sip_+15550100:example.org", "@person0:example.org"),
    "offer": tuple({"type": "offer", "sdp": sdp} for sdp in SDPS[:2]),
    "answer": tuple({"type": "answer", "sdp": sdp} for sdp in SDPS[:2]),
    "description": tuple({"type": kind, "sdp": sdp} for kind in ("offer", "answer") for sdp in SDPS[:2]),
    "candidates": ([{"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}],),
    "reason": ("user_hangup", "user_busy", "replaced", "ice_failed"),
    "selected_party_id": ("A", "B"),
    "capabilities": ({"m.call.dtmf": True},),
    "sdp_stream_metadata": ({"s": {"purpose": "m.usermedia"}},),
    "replacement_id": ("r",),
    "target_user": ({"id": "@_sip_+15550100:example.org"}, {"id": "@person0:example.org"}),
    "create_call": ("c", "d"),
    "await_call": ("d",),
    "conf_id": ("conference",),
}


def made_up(chance: random.Random) -> tuple[str, Json]:
    """A few of the fields that the schemas know, right or wrong, in an event of any kind."""
    fields = chance.sample(list(_FIELDS), chance.randrange(2, len(_FIELDS)))
    content = {field: chance.choice(_FIELDS[field] if chance.random() < 0.7 else HOSTILE) for field in fields}
    return f"m.call.{chance.choice(KINDS + OTHERS)}", copy.deepcopy(content)


def damaged(chance: random.Random) -> tuple[str, Json]:
    """A recorded event with one to four faults."""
    kind, content = copy.deepcopy(chance.choice(RECORDED))
    for _ in range(chance.randrange(1, 5)):
        _damage(chance, content)
    return (f"m.call.{chance.choice(KINDS)}" if chance.random() < 0.1 else kind), content


def _damage(chance: random.Random, content: Json) -> None:
    """Go to any depth, and spoil what is there."""
    holder: Any = content
    while True:
        keys = list(holder) if isinstance(holder, Mapping) else list(range(len(holder)))
        if not keys:
            return
        key = chance.choice(keys)
        if not (isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.7):
            break
        holder = holder[key]
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
    elif isinstance(holder[key], str) and chance.random() < 0.6:
        holder[key] = chance.choice(_SPOIL_TEXT)(chance, holder[key])
    else:
        holder[key] = copy.deepcopy(chance.choice(HOSTILE))


def _cut(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _insert(chance: random.Random, text: str) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + "".join(chance.choices(string.printable, k=chance.randrange(1, 20))) + text[place:]


def _double(chance: random.Random, text: str) -> str:
    return text * chance.randrange(2, 5)


def _shuffle_lines(chance: random.Random, text: str) -> str:
    lines = text.split("\r\n")
    chance.shuffle(lines)
    return "\r\n".join(lines)


def _drop_line(chance: random.Random, text: str) -> str:
    lines = text.split("\r\n")
    del lines[chance.randrange(len(lines))]
    return "\r\n".join(lines)


def _change_number(chance: random.Random, text: str) -> str:
    places = [index for index, character in enumerate(text) if character.isdigit()]
    if not places:
        return text
    place = chance.choice(places)
    return text[:place] + chance.choice(("-1", "0", "99999999999999999999", "x")) + text[place + 1 :]


_SPOIL_TEXT: tuple[Callable[[random.Random, str], str], ...] = (
    *(_cut, _insert, _double, _shuffle_lines),
    *(_drop_line, _change_number),
)
