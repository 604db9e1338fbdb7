"""The section `menus` of the configuration: what phones hear, and what their keys lead to."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import Field, PlainValidator

from bridge.calls.menu import KEYS
from bridge.config import values
from bridge.config.document import Location
from bridge.config.kinds import Flag, Language
from bridge.config.reached import OptionalTarget, ReachTarget
from bridge.config.section import Section
from bridge.config.sentences import Sentence, recording, unplayable
from bridge.numbers.reach import ToMenu

Finding = tuple[Location, str]
SENTENCES = ("prompt", "invalid", "nobody")
"""The settings of a menu that are heard: each a text that is spoken, or a recording."""


def _key(value: object) -> str:
    key = values.text(value)
    if len(key) != 1 or key not in KEYS:
        raise ValueError(f"expected a key of a telephone in quotes, 0 to 9, '*' or '#', found {values.shown(value)}")
    return key


Key = Annotated[str, PlainValidator(_key)]


class MenuConfig(Section):
    """`menus.<name>`."""

    prompt: Sentence
    language: Language = "en"
    digits: Mapping[Key, ReachTarget] = Field(default_factory=dict)
    dial_extensions: Flag = False
    timeout_s: Annotated[float, Field(strict=True, ge=2, le=60, allow_inf_nan=False)] = 8.0
    repeats: Annotated[int, Field(strict=True, ge=0, le=9)] = 2
    otherwise: OptionalTarget = None
    invalid: Sentence = "That key has no meaning here."
    nobody: Sentence = "Nobody is available there just now."

    @property
    def sentences(self) -> Mapping[str, str]:
        """What is heard, by the setting."""
        return {name: getattr(self, name) for name in SENTENCES}


def menu_contradictions(menus: Mapping[str, MenuConfig], numbers: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with menus, besides targets that are none: recordings, extensions, circles."""
    yield from _circles(menus)
    extensions = extension_starts(numbers)
    for name, menu in menus.items():
        if menu.dial_extensions and not extensions:
            yield ("menus", name, "dial_extensions"), "needs extensions among numbers.inbound, and there is none"
        for setting, sentence in menu.sentences.items():
            yield from unplayable(("menus", name, setting), recording(sentence))


def spoken_in_menus(menus: Mapping[str, MenuConfig]) -> list[str]:
    """The settings whose text needs a program that can speak."""
    return [
        f"menus.{name}.{setting}"
        for name, menu in menus.items()
        for setting, sentence in menu.sentences.items()
        if recording(sentence) is None
    ]


def _circles(menus: Mapping[str, MenuConfig]) -> Iterator[Finding]:
    """Menus that lead to each other in a circle although nobody presses a key."""
    for name in menus:
        seen = [name]
        while isinstance(target := menus[seen[-1]].otherwise, ToMenu) and target.menu in menus:
            if target.menu in seen:
                if target.menu == name:
                    yield ("menus", name, "otherwise"), f"leads back to {name}, and the caller would never be let go"
                break
            seen.append(target.menu)


def extension_starts(numbers: Iterable[str]) -> str:
    """The digits that extensions begin with, each once; what is no extension is passed over."""
    return "".join(sorted({number[0] for number in numbers if re.fullmatch(r"[0-9]{1,10}\*?", number)}))
