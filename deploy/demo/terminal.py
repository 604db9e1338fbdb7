"""What the demo prints: aligned columns, plain words, numbers with units, colours only for a terminal."""

import os
from collections.abc import Callable, Mapping
from typing import TextIO

from deploy.demo.audio import Heard, Tone

_BOLD, _DIM, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"
_NAME_WIDTH = 15
_STEP_WIDTH = 12


class Terminal:
    """Writes lines to a stream and flushes each of them, since somebody is watching."""

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self._stream = stream
        self._colours = colours

    def line(self, text: str = "") -> None:
        """One line as it is."""
        print(text, file=self._stream, flush=True)

    def heading(self, text: str) -> None:
        """A title after an empty line."""
        self.line()
        self.line(self._paint(_BOLD, text))

    def part(self, name: str, detail: str, took_s: float) -> None:
        """A part of the demo that is up now, and how long that took."""
        self.line(f"  {name:<{_NAME_WIDTH}}{self._paint(_DIM, f'ready after {took_s:4.1f} s')}   {detail}")

    def columns(self) -> None:
        """The titles above the steps of a call."""
        self.line(self._paint(_DIM, f"{'at':>9}{'step took':>12}"))

    def step(self, at_s: float, took_s: float, what: str, detail: str) -> None:
        """One step of a call: when it was reached, and how long after the step before."""
        self.line(f"{at_s:7.2f} s{took_s:10.2f} s   {what:<{_STEP_WIDTH}} {detail}".rstrip())

    def success(self, text: str) -> None:
        """A result that is as it should be."""
        self.line(self._paint(_GREEN, text))

    def failure(self, text: str) -> None:
        """A result that is not."""
        self.line(self._paint(_RED, text))

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Names and values, one a line, the values aligned."""
        width = max((len(name) for name in pairs), default=0) + 3
        for name, value in pairs.items():
            self.line(f"  {name:<{width}}{value}")

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colours else text


def wants_colours(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Colours are for terminals whose owner has not said no (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def describe_heard(heard: Heard, sent: Tone) -> str:
    """What came out of the call beside what went in."""
    return f"{describe_sound(heard)}   sent {sent.pitch_hz:4.0f} Hz at {sent.level_dbfs:6.1f} dBFS"


def describe_sound(heard: Heard) -> str:
    """A pitch and a level, as wide whatever the numbers are."""
    return f"{heard.pitch_hz:6.1f} Hz at {heard.level_dbfs:6.1f} dBFS"


class StepClock:
    """Prints the steps of one call with the time that each took."""

    def __init__(self, terminal: Terminal, now: Callable[[], float]) -> None:
        self._terminal = terminal
        self._now = now
        self._began = self._latest = now()

    def step(self, what: str, detail: str = "") -> None:
        """Print a step that was reached just now."""
        now = self._now()
        self._terminal.step(now - self._began, now - self._latest, what, detail)
        self._latest = now
