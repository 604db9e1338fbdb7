"""One call as a tree of spans: plain values, which know nothing of OpenTelemetry's libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.ids import CallId

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, in seconds since 1970 UTC."""

    at: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a call, or all of it. Moments are seconds since 1970 UTC."""

    name: str
    began: float
    ended: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """Nobody's number, user id or address is ever in them."""
    moments: tuple[Moment, ...] = ()
    fault: str = ""
    """What went wrong, where the network or we are at fault; a busy callee is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpans:
    """A call that is over."""

    call_id: CallId
    whole: Stage
    stages: tuple[Stage, ...]
    """In their order; each lies within the whole."""
