"""A message to the bot as a command, written as people write: any case, numbers with blanks and brackets."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.core.presence import RingWhen

MAX_TEXT = 500
"""Characters; what is longer was not meant for us."""

HOURS_USAGE = "hours mon-fri 9:00-17:00, sat 10:00-13:00, or hours off"

_NUMBER = re.compile(r"[+0-9().\-/*#]+")
_QUOTES = "\"'\u201c\u201d\u201e\u00ab\u00bb"


@dataclass(frozen=True, slots=True)
class Help:
    """What can be said."""


@dataclass(frozen=True, slots=True)
class Status:
    """How things are."""


@dataclass(frozen=True, slots=True)
class ShowHistory:
    """The last calls."""


@dataclass(frozen=True, slots=True)
class Voicemail:
    """Where to listen to messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNumber:
    """A room from which to call a number."""

    number: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotDisturb:
    """Whether calls from phones are busy at once."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Where calls from phones go; empty rings again."""

    number: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Whether the user's presence counts when a phone calls."""

    when: RingWhen


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """Whether the user's number is kept from those whom the user calls."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Whether a number may call; empty lists those that may not."""

    number: str = field(repr=False)
    on: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousCallers:
    """Whether callers who show no number may call."""

    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetHours:
    """When phones may ring; empty is always."""

    hours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NameNumber:
    """What a number is called; empty forgets it."""

    number: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """An administrator lets a suspended user call again."""

    user: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misused:
    """A command that we know, without what it needs."""

    usage: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No command of ours."""


Command = (
    Help
    | Status
    | ShowHistory
    | Voicemail
    | CallNumber
    | DoNotDisturb
    | Forward
    | Ring
    | Anonymous
    | Block
    | AnonymousCallers
    | SetHours
    | NameNumber
    | Resume
    | Misused
    | Unknown
)


def parse(text: str) -> Command:
    """What a message asks for; nothing is ever raised, whatever it says."""
    word, rest, *_ = (*text.strip().removeprefix("!").split(maxsplit=1), "", "")
    read = _WORDS.get(word.lower())
    return Unknown() if read is None or len(text) > MAX_TEXT else read(rest.strip())


def _call(rest: str) -> Command:
    return CallNumber(number=rest) if rest else Misused(usage="call NUMBER")


def _do_not_disturb(rest: str) -> Command:
    match rest.lower():
        case "on" | "off" as state:
            return DoNotDisturb(on=state == "on")
        case _:
            return Misused(usage="dnd on, or dnd off")


def _anonymous(rest: str) -> Command:
    match rest.lower():
        case "on" | "off" as state:
            return Anonymous(on=state == "on")
        case _:
            return Misused(usage="anonymous on, or anonymous off")


def _block(rest: str) -> Command:
    return Block(number=rest)


def _unblock(rest: str) -> Command:
    return Block(number=rest, on=False) if rest else Misused(usage="unblock NUMBER")


def _anonymous_callers(rest: str, *, accepted: bool) -> Command:
    if rest.lower().removesuffix(" callers") == "anonymous":
        return AnonymousCallers(accepted=accepted)
    return Misused(usage="refuse anonymous, or accept anonymous")


def _hours(rest: str) -> Command:
    if not rest:
        return Misused(usage=HOURS_USAGE)
    return SetHours(hours="" if rest.lower() in ("off", "always") else rest.lower())


def _forward(rest: str) -> Command:
    number = re.sub(r"^to(?:\s+|$)", "", rest)
    if not number:
        return Misused(usage="forward NUMBER, or forward off")
    return Forward(number="" if number.lower() == "off" else number)


def _ring(rest: str) -> Command:
    when = _PRESENCE.get(" ".join(rest.lower().split()))
    return Misused(usage="ring always, ring unless offline, or ring when online") if when is None else Ring(when=when)


def _name(rest: str) -> Command:
    """The number ends where a word is more than digits and what people write between them."""
    words = rest.split()
    end = next((at for at, word in enumerate(words) if not _NUMBER.fullmatch(word)), len(words))
    if end == 0:
        return Misused(usage="name NUMBER NAME, or name NUMBER to forget the name")
    return NameNumber(number=" ".join(words[:end]), name=" ".join(words[end:]).strip(_QUOTES))


def _resume(rest: str) -> Command:
    is_user = rest.startswith("@") and ":" in rest and " " not in rest
    return Resume(user=rest) if is_user else Misused(usage="resume @USER:SERVER")


_PRESENCE = {
    "always": RingWhen.ALWAYS,
    "unless offline": RingWhen.NOT_OFFLINE,
    "when online": RingWhen.ONLINE,
}
_WORDS: dict[str, Callable[[str], Command]] = {
    "help": lambda rest: Help(),
    "status": lambda rest: Status(),
    "history": lambda rest: ShowHistory(),
    "voicemail": lambda rest: Voicemail(),
    "call": _call,
    "dnd": _do_not_disturb,
    "anonymous": _anonymous,
    "forward": _forward,
    "ring": _ring,
    "block": _block,
    "unblock": _unblock,
    "refuse": partial(_anonymous_callers, accepted=False),
    "accept": partial(_anonymous_callers, accepted=True),
    "hours": _hours,
    "name": _name,
    "resume": _resume,
}
