"""What at least one client cannot bear in an `m.call.*` event of ours: one function for each rule, with who it is."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.clients.descriptions import attribute, flow_of

Json = Mapping[str, Any]

KNOWN_REASONS = frozenset(
    {
        "ice_failed",
        "ice_timeout",
        "user_hangup",
        "replaced",
        "user_media_failed",
        "invite_timeout",
        "unknown_error",
        "user_busy",
        "answered_elsewhere",
    }
)
"""`EndCallReason.kt`."""


def faults(kind: str, content: Json) -> list[str]:
    """Every demand that an event does not meet."""
    return [fault for demand in _DEMANDS for fault in demand(kind, content)]


def _common(kind: str, content: Json) -> Iterator[str]:
    """mtxclient throws without a party; Element iOS crashes on a reject without one; version 1 is a string."""
    for field in ("call_id", "party_id"):
        if not isinstance(content.get(field), str) or not content[field]:
            yield f"{kind} without {field}"
    version = content.get("version")
    if version != "1" and not (version == 0 and isinstance(version, int) and not isinstance(version, bool)):
        yield f"{kind} of version {version!r}"


def _no_null(kind: str, content: Json) -> Iterator[str]:
    """Android and Nheko drop an event in which a field is null."""
    if kind != "m.call.asserted_identity" and any(value is None for value in _values(content)):
        yield f"{kind} with null in it"


def _values(value: object) -> Iterator[object]:
    yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from _values(child)


def _reason(kind: str, content: Json) -> Iterator[str]:
    """Android parses the reason as an enum and drops a whole event in which it is another word."""
    if content.get("reason", "unknown_error") not in KNOWN_REASONS:
        yield f"{kind} with the reason {content['reason']!r}"


def _invite(kind: str, content: Json) -> Iterator[str]:
    """Dart takes only whole lifetimes; js-sdk ignores an invite with less than 3 s; a shorter ring is of no use."""
    if kind != "m.call.invite":
        return
    lifetime = content.get("lifetime")
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime < 10_000:
        yield f"a lifetime of {lifetime!r}"
    if not isinstance(content.get("invitee"), str):
        yield "an invite for nobody"


def _description(kind: str, content: Json) -> Iterator[str]:
    """The kind of description belongs to the kind of event; `pranswer` leaves js-sdk stuck."""
    expected = {"m.call.invite": ("offer", "offer"), "m.call.answer": ("answer", "answer")}.get(kind)
    if kind == "m.call.negotiate":
        if content["description"]["type"] not in ("offer", "answer") or not isinstance(content.get("lifetime"), int):
            yield "a negotiate that clients cannot read"
        yield from _audio(content["description"]["sdp"], content)
    elif expected is not None:
        key, wanted = expected
        if content[key]["type"] != wanted:
            yield f"{kind} with {content[key]['type']}"
        yield from _audio(content[key]["sdp"], content)
        yield from _features(kind, content)


def _audio(sdp: str, content: Json) -> Iterator[str]:
    """js-sdk drops a call without a stream, in silence, and throws when the metadata are of another one."""
    msid = attribute(sdp, "msid")
    if flow_of(sdp) in ("sendrecv", "sendonly") and not msid:
        yield "audio without a=msid"
    metadata = content.get("sdp_stream_metadata")
    if msid and (not isinstance(metadata, Mapping) or list(metadata) != [msid.split()[0]]):
        yield f"metadata of {metadata!r} for the stream {msid}"
    if isinstance(metadata, Mapping) and any(stream.get("video_muted") is not True for stream in metadata.values()):
        yield "metadata that make it a video call for the Dart SDK"
    if "a=end-of-candidates" not in sdp or "a=candidate:" not in sdp:
        yield "a description without all candidates in it"


def _features(kind: str, content: Json) -> Iterator[str]:
    """Element Web shows its keypad only with `m.call.dtmf`; clients search an offer for `m=video`, Nheko for Opus."""
    if content.get("capabilities", {}).get("m.call.dtmf") is not True:
        yield f"{kind} without m.call.dtmf"
    if kind == "m.call.invite" and "m=video" in content["offer"]["sdp"]:
        yield "an invite with the words m=video"
    if kind == "m.call.invite" and "opus/48000/2" not in content["offer"]["sdp"].lower():
        yield "an invite without Opus"


def _candidates(kind: str, content: Json) -> Iterator[str]:
    """Nheko and Dart fail without a mid and an index, Android skips an empty candidate only then."""
    for entry in content.get("candidates", []) if kind == "m.call.candidates" else []:
        if not isinstance(entry.get("sdpMid"), str) or not isinstance(entry.get("sdpMLineIndex"), int):
            yield f"a candidate that belongs nowhere: {entry}"


_Demand = Callable[[str, Json], Iterator[str]]
_DEMANDS: tuple[_Demand, ...] = (_common, _no_null, _reason, _invite, _description, _candidates)
