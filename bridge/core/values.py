"""Value types that are made for every message, and a place to keep those that the next message has too."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")
_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value_type(cls: type[_T]) -> type[_T]:
    """A frozen dataclass with slots, which only the type checker keeps from being changed.

    The run-time check of `dataclass(frozen=True)` makes each field of each object four times as expensive to fill.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record_type(cls: type[_T]) -> type[_T]:
    """The same for what is written with the names of its fields: events, commands, actions."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


class Kept(dict[str, _Value]):
    """Values by the text that they were parsed from, to a bound of both; when it is full, it begins anew."""

    __slots__ = ("_longest", "_most")

    def __init__(self, *, most: int = 2048, longest: int = 256) -> None:
        super().__init__()
        self._most = most
        self._longest = longest

    def keep(self, text: str, value: _Value) -> _Value:
        """Keep the value; long texts are not kept, so that a stranger cannot fill this with megabytes."""
        if len(text) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[text] = value
        return value
