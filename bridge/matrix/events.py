"""Events of Matrix rooms as values: the envelope, and the `m.call.*` contents of the VoIP module.

Field names follow the specification (Client-Server API, "Voice over IP"; MSC2746). `version` is reduced to what matters:
0 or 1 — everything that is not 0 or "0" is treated as 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.ids import EventId, MatrixCallId, PartyId, RoomId, UserId

Json = Mapping[str, Any]
"""A JSON object that has not been parsed into a type of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent:
    """One event of a room, as the homeserver sent it, with the size and shape of its envelope checked."""

    event_id: EventId
    room_id: RoomId
    sender: UserId
    type: str
    content: Json
    state_key: str | None = None
    origin_server_ts_ms: int | None = None
    age_ms: int
    """How old the event was when it reached us: `unsigned.age`, else by the clocks, never negative."""
    received_at: float
    """Monotonic seconds at which it reached us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrickledCandidate:
    """One entry of `candidates`."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInvite:
    """`m.call.invite`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    lifetime_ms: int
    """Clamped to 5 000 to 180 000; 60 000 when missing or senseless."""
    sdp: str
    invitee: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCandidates:
    """`m.call.candidates`; at most 100 entries are kept."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    candidates: tuple[TrickledCandidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswer:
    """`m.call.answer`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSelectAnswer:
    """`m.call.select_answer`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    selected_party_id: PartyId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReject:
    """`m.call.reject`; `reason` is not in the specification but clients send it."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHangup:
    """`m.call.hangup`; a missing reason means `user_hangup`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNegotiate:
    """`m.call.negotiate`: a new offer or answer within a call (hold, ICE restart, added video)."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    description_type: str
    sdp: str


CallContent = (
    CallInvite
    | CallCandidates
    | CallAnswer
    | CallSelectAnswer
    | CallReject
    | CallHangup
    | CallNegotiate
)
