"""Whom called numbers reach: the values of `numbers.inbound`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import PlainValidator, ValidatorFunctionWrapHandler, WrapValidator

from bridge.config import values
from bridge.config.section import Section
from bridge.numbers.hours import Hours, parse_hours
from bridge.numbers.reach import Reach, Target, is_name, parse_target


def _target(value: object) -> Target:
    return parse_target(values.text(value))


def _optional_target(value: object) -> Target | None:
    return _target(value) if value != "" else None


def _optional_hours(value: object) -> Hours | None:
    return parse_hours(values.text(value)) if value != "" else None


def _name(value: object) -> str:
    word = values.text(value)
    if not is_name(word):
        raise ValueError(f"expected a name of a-z, 0-9, '_' and '-', at most 32 characters, found '{word}'")
    return word


TargetName = Annotated[str, PlainValidator(_name)]
"""What a group or a menu is called."""
ReachTarget = Annotated[Target, PlainValidator(_target)]
OptionalTarget = Annotated[Target | None, PlainValidator(_optional_target)]
OptionalHours = Annotated[Hours | None, PlainValidator(_optional_hours)]


class InboundConfig(Section):
    """One number of `numbers.inbound`, where more is to be said of it than a target."""

    to: ReachTarget
    hours: OptionalHours = None
    otherwise: OptionalTarget = None

    @property
    def reach(self) -> Reach:
        """The same without the file."""
        return Reach(to=self.to, hours=self.hours, otherwise=self.otherwise)


def _inbound(value: object, handler: ValidatorFunctionWrapHandler) -> InboundConfig:
    """A target alone stands for one at all hours."""
    return handler(value) if isinstance(value, Mapping) else InboundConfig.model_construct(to=_target(value))


InboundNumber = Annotated[InboundConfig, WrapValidator(_inbound)]
