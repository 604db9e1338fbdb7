"""What was set over the admin API besides the file, and the two together: entries of the file always come first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bridge.config.check import number_findings
from bridge.config.document import Location, dotted
from bridge.config.faults import ConfigError, Fault
from bridge.config.identities import parse_called
from bridge.config.model import Config, NumbersConfig, OutboundPermission
from bridge.config.reached import InboundConfig
from bridge.config.wording import follows, location_of, worded

NUMBER, PERMISSION = "number", "permission"
Key = tuple[str, str]
"""Which of these two, and its name."""


class GrantedPermission(OutboundPermission):
    """An entry of `permissions.outbound` that does not stand in the file."""

    name: str
    """By which the API knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """Everything that was set over the API, as it was read."""

    numbers: Mapping[str, InboundConfig] = field(default_factory=dict)
    """By number, or block of numbers."""
    permissions: Mapping[str, GrantedPermission] = field(default_factory=dict)
    """By name."""

    def without(self, keys: Mapping[Key, str]) -> "Additions":
        """All but these."""
        return Additions(
            numbers={name: entry for name, entry in self.numbers.items() if (NUMBER, name) not in keys},
            permissions={name: entry for name, entry in self.permissions.items() if (PERMISSION, name) not in keys},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A file and what was added to it."""

    config: Config
    left_out: Mapping[Key, str] = field(default_factory=dict)
    """Additions that make no sense beside this file, such as one for a trunk that it no longer has, and why."""


def read_number(config: Config, number: str, entry: object) -> tuple[str, InboundConfig]:
    """A number and its entry, as they would be read from the file. Raises `ConfigError` with paths inside the entry."""
    place: Location = ("numbers", "inbound", number)
    try:
        section = NumbersConfig.model_validate({"inbound": {number: entry}}, context=config.numbers.default_region)
    except ValidationError as error:
        raise ConfigError(list(faults_in(error, ("numbers",), len(place)))) from error
    return next(iter(section.inbound.items()))


def read_permission(config: Config, name: str, entry: Mapping[str, Any]) -> GrantedPermission:
    """A permission as it would be read from the file. Raises `ConfigError` with paths inside the entry."""
    place: Location = ("permissions", "outbound", 0)
    try:
        read = OutboundPermission.model_validate(entry, context=config.numbers.default_region)
    except ValidationError as error:
        raise ConfigError(list(faults_in(error, place, len(place)))) from error
    return GrantedPermission.model_construct(name=name, **dict(read))


def called_number(config: Config, typed: str) -> str:
    """The number, or block of numbers, under which an entry stands. Raises `ValueError`."""
    return parse_called(typed, config.numbers.default_region)


def with_additions(file: Config, additions: Additions) -> Whole:
    """Both together. What makes no sense is left out, since a bridge has to start with it all the same."""
    config = _joined(file, additions)
    known, first = set(number_findings(file)), len(file.permissions.outbound)
    names = list(additions.permissions)
    left_out: dict[Key, str] = {}
    for place, message in number_findings(config):
        match place:
            case _ if (place, message) in known:
                continue
            case ("numbers", "inbound", str(number), *_):
                left_out[NUMBER, number] = message
            case ("permissions", "outbound", int(index), *_):
                left_out[PERMISSION, names[index - first]] = message
    return Whole(config=_joined(file, additions.without(left_out)) if left_out else config, left_out=left_out)


def _joined(file: Config, additions: Additions) -> Config:
    own = file.numbers.inbound
    inbound = {**own, **{number: entry for number, entry in additions.numbers.items() if number not in own}}
    outbound = (*file.permissions.outbound, *additions.permissions.values())
    return file.model_copy(
        update={
            "numbers": file.numbers.model_copy(update={"inbound": inbound}),
            "permissions": file.permissions.model_copy(update={"outbound": outbound}),
        }
    )


def faults_in(error: ValidationError, inside: Location = (), depth: int = 0) -> Iterator[Fault]:
    """What pydantic found wrong, each with its path below the entry; empty for the entry as a whole.

    `inside` is where in the file the entry would stand, and `depth` how far down that it begins.
    """
    for detail in error.errors(include_url=False):
        if follows(detail):
            continue
        location = (*inside, *location_of(detail))
        yield Fault(path=dotted(location[depth:]), message=worded(location, detail))
