"""Text messages of rooms (specification, "Instant Messaging": `m.room.message`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.matrix.call_content import OutgoingEvent
from bridge.matrix.events import RoomEvent

MAX_BODY = 20_000
"""Characters: an event of 64 KiB holds no more, and no phone reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What a person wrote."""

    body: str = field(repr=False)


class UnsupportedText(Exception):  # noqa: N818 - it names what came, not a fault
    """A picture, a file, a place: nothing that is read aloud as text."""


def read_text(event: RoomEvent) -> Text | None:
    """What is meant for the other side: `None` for notices, edits and what has no words. Raises `UnsupportedText`.

    An edit is not sent again: what a phone has, it keeps.
    """
    content = event.content
    kind, body = content.get("msgtype"), content.get("body")
    if kind == "m.notice" or not isinstance(kind, str) or not isinstance(body, str) or _is_edit(content):
        return None
    if kind not in ("m.text", "m.emote"):
        raise UnsupportedText
    spoken = _without_quote(body) if _is_reply(content) else body
    return Text(body=spoken.strip()[:MAX_BODY]) if spoken.strip() else None


def plain(body: str) -> OutgoingEvent:
    """A phone's text."""
    return OutgoingEvent(type="m.room.message", content={"msgtype": "m.text", "body": body[:MAX_BODY]})


def answer_to(event_id: str, sentence: str) -> OutgoingEvent:
    """A notice about one message."""
    relation = {"m.in_reply_to": {"event_id": event_id}}
    return OutgoingEvent(
        type="m.room.message", content={"msgtype": "m.notice", "body": sentence, "m.relates_to": relation}
    )


def voice_message(address: str, *, octets: int, duration_ms: int, waveform: Sequence[int]) -> OutgoingEvent:
    """Speech in Ogg Opus that the homeserver keeps at `address`, as clients play it (MSC3245, MSC1767, MSC3246).

    `waveform` has values from 0 to 1024, and may be empty.
    """
    name = "Voice message.ogg"
    info = {"duration": duration_ms, "mimetype": "audio/ogg", "size": octets}
    content = {
        "msgtype": "m.audio",
        "body": name,
        "url": address,
        "info": info,
        "org.matrix.msc1767.text": name,
        "org.matrix.msc1767.file": {"url": address, "name": name, "mimetype": "audio/ogg", "size": octets},
        "org.matrix.msc1767.audio": {"duration": duration_ms, "waveform": list(waveform)},
        "org.matrix.msc3245.voice": {},
    }
    return OutgoingEvent(type="m.room.message", content=content)


def _relation(content: Mapping[str, object]) -> Mapping[str, object]:
    relation = content.get("m.relates_to")
    return relation if isinstance(relation, Mapping) else {}


def _is_edit(content: Mapping[str, object]) -> bool:
    return _relation(content).get("rel_type") == "m.replace"


def _is_reply(content: Mapping[str, object]) -> bool:
    return "m.in_reply_to" in _relation(content)


def _without_quote(body: str) -> str:
    """Older clients quote what they answer to, in front (specification before 1.13, "Rich replies")."""
    lines = body.split("\n")
    if not lines[0].startswith("> "):
        return body
    first = next((number for number, line in enumerate(lines) if not line.startswith(">")), len(lines))
    return "\n".join(lines[first:])
