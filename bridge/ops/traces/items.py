"""What is handed to the recorder: small values, made on the event loop and worked on elsewhere."""

import enum
from dataclasses import dataclass

from bridge.core.ids import CallId
from bridge.store.traces.rows import TracedCall, TraceEntry


class Kind(enum.StrEnum):
    """What an entry speaks of."""

    MATRIX = "matrix"
    SIP = "sip"
    MEDIA = "media"
    """Of the audio: negotiated, connected, held, lost."""
    STATE = "state"
    AUDIO = "audio"
    """Figures of both directions, as JSON."""
    VERDICT = "verdict"


class Way(enum.StrEnum):
    """Seen from us."""

    IN = "in"
    OUT = "out"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeen:
    """A call as it is now: when it begins, and when it is over."""

    call: TracedCall


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNamed:
    """Another name of a call."""

    call_id: CallId
    name: str
    of_sip: bool
    """Whether it is the Call-ID that its SIP messages carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A step of a call."""

    entry: TraceEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class SipMessage:
    """One message as it was on the wire; whose call it is, is found out later."""

    at: float
    """Seconds since 1970 UTC."""
    outgoing: bool
    payload: bytes
    transport: str
    """`udp`, `tcp` or `tls`."""
    local: tuple[str, int]
    """Our address, as far as it is known: a numeric host and a port."""
    remote: tuple[str, int]


Item = CallSeen | CallNamed | Noted | SipMessage
