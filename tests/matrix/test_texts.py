"""Which messages of a room are words for a phone."""

from typing import Any

import pytest

from bridge.core.ids import EventId, RoomId, UserId
from bridge.matrix.events import RoomEvent
from bridge.matrix.texts import UnsupportedText, answer_to, read_text

REPLY = {"m.relates_to": {"m.in_reply_to": {"event_id": "$before"}}}


def message(**content: Any) -> RoomEvent:
    return RoomEvent(
        event_id=EventId("$event"),
        room_id=RoomId("!room:example.org"),
        sender=UserId("@alice:example.org"),
        type="m.room.message",
        content=content,
        age_ms=0,
        received_at=0.0,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"msgtype": "m.text", "body": "hello"}, "hello"),
        ({"msgtype": "m.text", "body": " two\nlines "}, "two\nlines"),
        ({"msgtype": "m.emote", "body": "waves"}, "waves"),
        ({"msgtype": "m.text", "body": "> <@bob:example.org> what?\n> really\n\nyes", **REPLY}, "yes"),
        ({"msgtype": "m.text", "body": "plainly", **REPLY}, "plainly"),
        ({"msgtype": "m.text", "body": "> a proverb"}, "> a proverb"),
    ],
)
def test_words(content: dict[str, Any], words: str) -> None:
    text = read_text(message(**content))
    assert text is not None
    assert text.body == words


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"msgtype": "m.notice", "body": "a bot"},
        {"msgtype": "m.text", "body": "  "},
        {"msgtype": "m.text", "body": 1},
        {"msgtype": 1, "body": "x"},
        {"msgtype": "m.text", "body": "* better", "m.relates_to": {"rel_type": "m.replace", "event_id": "$before"}},
        {"msgtype": "m.text", "body": "> quoted", "m.relates_to": {"m.in_reply_to": {}}},
    ],
)
def test_nothing_to_send(content: dict[str, Any]) -> None:
    assert read_text(message(**content)) is None


@pytest.mark.parametrize("kind", ["m.image", "m.file", "m.audio", "m.location", "org.example.unknown"])
def test_what_is_no_text_is_told_apart(kind: str) -> None:
    with pytest.raises(UnsupportedText):
        read_text(message(msgtype=kind, body="holiday.jpg"))


@pytest.mark.parametrize("relation", [None, [], "x", {"m.in_reply_to": None}])
def test_broken_relations_do_not_matter(relation: Any) -> None:
    text = read_text(message(**{"msgtype": "m.text", "body": "hello", "m.relates_to": relation}))
    assert text is not None
    assert text.body == "hello"


def test_an_answer_names_what_it_answers_to() -> None:
    assert answer_to("$event", "No.").content["m.relates_to"] == {"m.in_reply_to": {"event_id": "$event"}}
