"""A spoken menu that a phone walks through: plain values, and what a key means in it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.verdict import Verdict

KEYS = "0123456789*#"
"""Those of a telephone; others mean nothing to a menu."""
BACK, REPEAT = "*", "#"
"""What these two mean unless the menu has a choice of its own for them."""
LONGEST_EXTENSION = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuPlan:
    """One menu, as the configuration has it. Targets are words of the configuration, which the application reads."""

    name: str
    choices: Mapping[str, str] = field(default_factory=dict)
    """What each key leads to."""
    otherwise: str = ""
    """Where the call goes when nothing is chosen; empty hangs up."""
    timeout_s: float = 8.0
    """For the first key, after the prompt."""
    repeats: int = 2
    """How often the prompt is heard again, after no key or a wrong one, before `otherwise`."""
    extensions: str = ""
    """The digits that extensions begin with; empty where none can be dialled."""
    edition: int = 0
    """Of the configuration that it is of: whoever is in a menu goes on hearing this one when there is another."""


class Prompt(enum.StrEnum):
    """What a menu says."""

    CHOICES = "choices"
    INVALID = "invalid"
    """The key means nothing."""
    NOBODY = "nobody"
    """Whoever was chosen does not answer."""


class MenuStep(enum.StrEnum):
    """What the phone hears, or is heard for."""

    PROMPT = "prompt"
    WAITING = "waiting"
    """For a key, in silence."""
    INVALID = "invalid"
    NOBODY = "nobody"
    CONNECTING = "connecting"
    """Something is chosen, and being sought or rung."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """How far a phone has come."""

    menu: MenuPlan
    step: MenuStep = MenuStep.PROMPT
    tries: int = 0
    """Prompts of this menu after which nothing was chosen."""
    typed: str = field(default="", repr=False)
    """The beginning of an extension."""
    before: tuple[str, ...] = ()
    """The menus that led here, the newest last."""
    path: tuple[str, ...]
    """What was reached so far, for the record: names of menus, and kinds of other targets."""
    unasked: bool = False
    """Whether what is being connected is what the menu does when nothing is chosen."""
    leaving: Verdict | None = None
    """What the call ends with when the sentence that the phone hears is over."""

    def enter(self, menu: MenuPlan) -> None:
        """Go to another menu. One that led here is gone back to, so that circles do not make the way back longer."""
        name = menu.name
        if name in self.before:
            self.before = self.before[: self.before.index(name)]
        elif name != self.menu.name:
            self.before = (*self.before, self.menu.name)
        self.menu, self.tries, self.path = menu, 0, (*self.path, name)


class Sense(enum.Enum):
    """What a key means."""

    MORE = enum.auto()
    """Part of an extension."""
    TARGET = enum.auto()
    EXTENSION = enum.auto()
    BACK = enum.auto()
    REPEAT = enum.auto()
    NOTHING = enum.auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """A key, read."""

    sense: Sense
    word: str = field(default="", repr=False)
    """The target, or the digits so far."""


def read_key(menu: MenuPlan, typed: str, key: str) -> Reading:
    """What one more key means, after the digits that were `typed` already."""
    if typed and key == REPEAT:
        return read_digits(menu, typed)
    if typed and key == BACK:
        return Reading(Sense.REPEAT)
    if key.isdecimal() and (typed or key in menu.extensions):
        digits = typed + key
        return Reading(Sense.MORE if len(digits) < LONGEST_EXTENSION else Sense.EXTENSION, digits)
    if key in menu.choices:
        return Reading(Sense.TARGET, menu.choices[key])
    return Reading({BACK: Sense.BACK, REPEAT: Sense.REPEAT}.get(key, Sense.NOTHING))


def read_digits(menu: MenuPlan, typed: str) -> Reading:
    """What digits mean after which no other came: a single one may be a choice that an extension begins with too."""
    if typed in menu.choices:
        return Reading(Sense.TARGET, menu.choices[typed])
    return Reading(Sense.EXTENSION, typed)
