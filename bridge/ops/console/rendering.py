"""Pages from templates. Everything that is put into one is escaped: strangers choose names, ids and reasons."""

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from bridge.ops.console import pictures
from bridge.ops.traces.showing import Showing, summary_of

_MICRO = 1_000_000
_MINUTE_S, _HOUR_S = 60, 3600


class Renderer:
    """Renders templates of this package."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FunctionLoader(_source),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(duration=duration, moment=moment, money=money, plain=plain)
        self._environment.globals.update(
            strip=pictures.strip,
            told=pictures.told,
            STRIP_WIDTH=pictures.STRIP * pictures.BAR,
            summary_of=summary_of,
            **_CHART,
        )

        for template in (files(__package__) / "templates").iterdir():
            self._environment.get_template(template.name)  # Compiled now, and not while calls wait.

    def render(self, template: str, **values: Any) -> str:
        """The text of a page or a part of one; may be called on any thread."""
        return self._environment.get_template(template).render(**values)


_CHART = {"CHART_WIDTH": pictures.WIDTH, "CHART_HEIGHT": pictures.HEIGHT}


def static(name: str) -> bytes:
    """A style sheet or script."""
    return (files(__package__) / "static" / name).read_bytes()


def _source(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def short(showing: Showing, who: str) -> str:
    """Somebody for a narrow column: the hash of the logs without the words around it."""
    text = showing.person(who)
    return text if text == who or not who else f"#{text.removeprefix('[redacted#').removesuffix(']')}"


def duration(seconds: float) -> str:
    """`7 s`, `3:07`, `1:03:07`."""
    whole = int(max(0.0, seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    minutes, rest = divmod(whole, _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(seconds: float) -> str:
    """Date and time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def money(millionths: int, currency: str = "") -> str:
    """An amount."""
    return f"{millionths / _MICRO:,.2f} {currency}".strip()


def plain(word: str) -> str:
    """`no_answer` as people write it."""
    return word.replace("_", " ")
