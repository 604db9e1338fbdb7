"""What the demo prints: the same columns whatever the numbers are, and no colours in a file."""

import io

import pytest

from deploy.demo.audio import Heard, Tone
from deploy.demo.errors import DemoError, explanations
from deploy.demo.terminal import StepClock, Terminal, describe_heard, wants_colours


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_steps_show_when_they_were_reached_and_how_long_they_took() -> None:
    out = io.StringIO()
    times = iter([100.0, 100.25, 112.5])
    steps = StepClock(Terminal(out, colours=False), lambda: next(times))

    steps.step("ringing", "at the phone")
    steps.step("answered")

    assert out.getvalue().splitlines() == [
        "   0.25 s      0.25 s   ringing      at the phone",
        "  12.50 s     12.25 s   answered",
    ]


def test_what_is_heard_lines_up_whatever_the_numbers_are() -> None:
    tone = Tone(pitch_hz=600.0, level_dbfs=-23.0)
    quiet = describe_heard(Heard(pitch_hz=60.0, level_dbfs=-120.0), tone)
    loud = describe_heard(Heard(pitch_hz=3999.9, level_dbfs=-3.0), tone)

    assert quiet == "  60.0 Hz at -120.0 dBFS   sent  600 Hz at  -23.0 dBFS"
    assert len(quiet) == len(loud)


@pytest.mark.parametrize(
    ("stream", "environ", "colours"),
    [
        (Tty(), {"TERM": "xterm"}, True),
        (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Tty(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_for_terminals_whose_owner_wants_them(
    stream: io.StringIO, environ: dict[str, str], colours: bool
) -> None:
    assert wants_colours(stream, environ) is colours


def test_a_file_gets_no_escape_sequences() -> None:
    out = io.StringIO()
    terminal = Terminal(out, colours=False)

    terminal.heading("Call 1")
    terminal.success("good")
    terminal.failure("bad")
    terminal.part("Synapse", "http://127.0.0.1:1", 1.5)

    assert "\x1b" not in out.getvalue()


def test_pairs_are_aligned() -> None:
    out = io.StringIO()

    Terminal(out, colours=False).pairs({"User": "alice", "Homeserver": "http://127.0.0.1:1"})

    assert out.getvalue() == "  User         alice\n  Homeserver   http://127.0.0.1:1\n"


def test_every_failure_of_a_group_is_explained() -> None:
    group = ExceptionGroup("", [DemoError("one"), ExceptionGroup("", [DemoError("two")])])

    assert explanations(group) == ["one", "two"]


def test_a_bug_is_not_explained_away() -> None:
    with pytest.raises(ZeroDivisionError):
        explanations(ExceptionGroup("", [DemoError("one"), ZeroDivisionError()]))
