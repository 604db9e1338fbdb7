"""Whom a called number reaches: a person, a group, a spoken menu, or a person's message box; and at which hours.

A target is one word of the configuration: `@user:server`, `group:NAME`, `menu:NAME`, `voicemail:@user:server`. Whether
the group or menu exists, the configuration knows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from bridge.core.ids import GroupName, MenuName, UserId
from bridge.core.user_ids import is_user_id
from bridge.numbers.hours import Hours

RANGE_MARK = "*"
"""Ends the key of a block of numbers, of which the beginning is given."""
LONGEST_BEGINNING = 16
"""Of such a block: `+` and 15 digits (E.164). What a phone says it calls may be as long as a message."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_GROUP, _MENU, _VOICEMAIL = "group:", "menu:", "voicemail:"


@dataclass(frozen=True, slots=True)
class ToUser:
    """A person: all of the user's devices ring."""

    user: UserId

    def __str__(self) -> str:
        return self.user


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Several people, who ring together or in turn."""

    group: GroupName

    def __str__(self) -> str:
        return f"{_GROUP}{self.group}"


@dataclass(frozen=True, slots=True)
class ToMenu:
    """A spoken menu."""

    menu: MenuName

    def __str__(self) -> str:
        return f"{_MENU}{self.menu}"


@dataclass(frozen=True, slots=True)
class ToMessageBox:
    """Straight to a person's voicemail: nothing rings."""

    user: UserId

    def __str__(self) -> str:
        return f"{_VOICEMAIL}{self.user}"


Target = ToUser | ToGroup | ToMenu | ToMessageBox


def parse_target(word: str) -> Target:
    """A target as the configuration writes it. Raises `ValueError` with words for who wrote it."""
    if word.startswith(_GROUP):
        return ToGroup(GroupName(_name(word, _GROUP)))
    if word.startswith(_MENU):
        return ToMenu(MenuName(_name(word, _MENU)))
    if word.startswith(_VOICEMAIL):
        return ToMessageBox(_user(word, word.removeprefix(_VOICEMAIL)))
    return ToUser(_user(word, word))


def _name(word: str, kind: str) -> str:
    name = word.removeprefix(kind)
    if not is_name(name):
        raise ValueError(
            f"expected a name of a-z, 0-9, '_' and '-' after '{kind}', at most 32 characters, found '{name}'"
        )
    return name


def _user(word: str, user: str) -> UserId:
    if not is_user_id(user):
        raise ValueError(
            "expected a user id such as @alice:example.org, group:NAME, menu:NAME or voicemail:@alice:example.org, "
            f"found '{word}'"
        )
    return UserId(user)


def is_name(word: str) -> bool:
    """Whether a group or a menu can be called so."""
    return _NAME.match(word) is not None


def person(target: Target | None) -> UserId | None:
    """Whose target it is, if it is one person's."""
    match target:
        case ToUser(user=user) | ToMessageBox(user=user):
            return user
        case ToGroup() | ToMenu() | None:
            return None
        case _:
            assert_never(target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a number leads to."""

    to: Target
    hours: Hours | None = None
    """When `to` is reached; `None` is always."""
    otherwise: Target | None = None
    """Who is reached outside of the hours; `None` is nobody."""

    @classmethod
    def of_user(cls, user: UserId) -> "Reach":
        """A number that is one person's at all hours."""
        return cls(to=ToUser(user))

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that it can lead to."""
        return (self.to,) if self.otherwise is None else (self.to, self.otherwise)

    def at(self, moment: datetime) -> Target | None:
        """Who is reached at a local time, if anybody."""
        return self.to if self.hours is None or self.hours.cover(moment) else self.otherwise


def found(inbound: Mapping[str, Reach], spellings: Iterable[str]) -> Reach | None:
    """Where a call to a number goes, by the ways in which the number can be written.

    A number of its own comes before a range, and a longer beginning before a shorter one.
    """
    numbers = list(dict.fromkeys(spellings))
    own = next((number for number in numbers if number in inbound and not number.endswith(RANGE_MARK)), None)
    if own is not None:
        return inbound[own]
    beginnings = (
        f"{number[:length]}{RANGE_MARK}"
        for number in numbers
        for length in range(min(len(number), LONGEST_BEGINNING), 0, -1)
    )
    return inbound.get(max((key for key in beginnings if key in inbound), key=len, default=""))
