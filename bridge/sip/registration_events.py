"""States of a registration, and what can happen to one (RFC 3261 §10.2)."""

import enum
from dataclasses import dataclass

from bridge.sip.message import Response
from bridge.sip.renewal_events import AddressFound, AttemptDue, Challenged, Failed, Started, StopAsked, TooBrief


class RegistrationState(enum.Enum):
    """Where a registration stands."""

    IDLE = enum.auto()
    REGISTERING = enum.auto()
    REGISTERED = enum.auto()
    WAITING = enum.auto()
    """For the next attempt."""
    REFUSED = enum.auto()
    """For good."""
    ENDING = enum.auto()
    """Stopped while a request waits for its answer: repeated, it would undo a removal that is sent before (§10.2)."""
    UNREGISTERING = enum.auto()
    STOPPED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """2xx."""

    expires_s: int
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRefused:
    """439: a proxy on the way knows nothing of outbound (RFC 5626 §11.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """403, or credentials that were not accepted."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedForGood:
    """The same once too often."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLost:
    """The connection over which the registrar reaches us is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowClosed:
    """The same once more, right after it was opened: this registrar keeps no connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveAsked:
    """Stop where no contact of ours can be left, or where another registration has it from now on (RFC 5626 §6)."""


RegistrationEvent = (
    Started
    | Granted
    | Challenged
    | TooBrief
    | OutboundRefused
    | Refused
    | RefusedForGood
    | Failed
    | AttemptDue
    | AddressFound
    | FlowLost
    | FlowClosed
    | StopAsked
    | LeaveAsked
)
