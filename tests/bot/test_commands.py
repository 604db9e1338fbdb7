"""People write as they like, and the bot understands what can be understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bot.commands import (
    Anonymous,
    AnonymousCallers,
    Block,
    CallNumber,
    Command,
    DoNotDisturb,
    Forward,
    Help,
    Misused,
    NameNumber,
    Resume,
    Ring,
    SetHours,
    ShowHistory,
    Status,
    Unknown,
    Voicemail,
    parse,
)
from bridge.core.presence import RingWhen


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("help", Help()),
        ("  HELP me ", Help()),
        ("!status", Status()),
        ("History", ShowHistory()),
        ("voicemail", Voicemail()),
        ("call +1 (555) 010-0100", CallNumber(number="+1 (555) 010-0100")),
        ("dnd on", DoNotDisturb(on=True)),
        ("DND Off", DoNotDisturb(on=False)),
        ("forward 201", Forward(number="201")),
        ("forward to +1 555 0100", Forward(number="+1 555 0100")),
        ("forward OFF", Forward(number="")),
        ("anonymous ON", Anonymous(on=True)),
        ("anonymous off", Anonymous(on=False)),
        ("block (555) 0100", Block(number="(555) 0100")),
        ("block", Block(number="")),
        ("Unblock +15550100", Block(number="+15550100", on=False)),
        ("refuse anonymous", AnonymousCallers(accepted=False)),
        ("accept Anonymous callers", AnonymousCallers(accepted=True)),
        ("hours Mon-Fri 9:00-17:00", SetHours(hours="mon-fri 9:00-17:00")),
        ("hours off", SetHours(hours="")),
        ("ring always", Ring(when=RingWhen.ALWAYS)),
        ("Ring  Unless offline", Ring(when=RingWhen.NOT_OFFLINE)),
        ("ring when online", Ring(when=RingWhen.ONLINE)),
        ("name +1 555 0100 Jane Doe", NameNumber(number="+1 555 0100", name="Jane Doe")),
        ("name 201 3rd floor", NameNumber(number="201", name="3rd floor")),
        ('name 201 "24 hour desk"', NameNumber(number="201", name="24 hour desk")),
        ("name (555) 010-0100", NameNumber(number="(555) 010-0100", name="")),
        ("resume @alice:example.org", Resume(user="@alice:example.org")),
        ("hello", Unknown()),
        ("", Unknown()),
        ("call " + "1" * 500, Unknown()),
    ],
)
def test_commands_are_understood(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    [
        *("call", "dnd", "dnd maybe", "forward", "forward to ", "ring", "ring never", "name", "name Jane"),
        *("resume", "resume alice", "anonymous", "unblock", "refuse", "accept all", "hours"),
    ],
)
def test_a_command_without_what_it_needs_is_explained(text: str) -> None:
    assert isinstance(parse(text), Misused)


@given(st.text() | st.builds("{} {}".format, st.sampled_from(["call", "name", "dnd", "forward", "!"]), st.text()))
def test_nothing_that_people_write_is_an_error(text: str) -> None:
    parse(text)


def test_numbers_do_not_show_in_logs() -> None:
    for text in ("call +15550100", "forward +15550100", "name +15550100 Jane"):
        assert "15550100" not in repr(parse(text))


@pytest.mark.parametrize(
    "word", ["call", "dnd", "anonymous", "forward", "ring", "unblock", "refuse", "accept", "hours", "name", "resume"]
)
def test_a_command_without_what_it_needs_is_answered_with_how_it_is_said(word: str) -> None:
    command = parse(word)
    assert isinstance(command, Misused)
    assert word in command.usage
