"""What happens on the Matrix side of a call.

Events name the user and the party (device) they come from; whether those count is decided in the call. `m.call.*` is
one implementation of that leg, another kind of Matrix call would send the same events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.ids import MatrixCallId, PartyId, RoomId, UserId
from bridge.core.presence import PresenceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One trickled ICE candidate of the Matrix side."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesReceived:
    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReceived:
    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    version: int
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSelected:
    """The caller said which party's answer it took (`m.call.select_answer`)."""

    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    selected_party: PartyId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectReceived:
    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HangupReceived:
    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixReoffered:
    """A new offer within the call (`m.call.negotiate`): hold, resume, or an ICE restart on another network."""

    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft:
    """A user or a ghost left a room, or was removed (specification, VoIP, "behaviour on room leave")."""

    user: UserId
    room_id: RoomId | None = None
    """`None` is the one room of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined:
    user: UserId
    room_id: RoomId | None = None
    """As in `MemberLeft`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingInvite:
    """The user called us in the same room while our call to the user was not answered (glare)."""

    matrix_call_id: MatrixCallId
    room_id: RoomId
    ghost: UserId
    user: UserId
    party: PartyId | None
    version: int
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceKnown:
    """Whether the called user is there; `None` when nobody knows."""

    state: PresenceState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalReady:
    """The room for this user and number exists."""

    room_id: RoomId
    ghost: UserId
    user_joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteDelivered:
    """The homeserver took our `m.call.invite`: the user's devices ring."""


OfMatrixCall = CandidatesReceived | AnswerReceived | AnswerSelected | RejectReceived | HangupReceived | MatrixReoffered
"""Events that name the Matrix call they belong to; a call can have two of them while calls cross."""

MatrixEvent = (
    CandidatesReceived
    | AnswerReceived
    | AnswerSelected
    | RejectReceived
    | HangupReceived
    | MatrixReoffered
    | MemberLeft
    | MemberJoined
    | CrossingInvite
    | PresenceKnown
    | PortalReady
    | InviteDelivered
)
