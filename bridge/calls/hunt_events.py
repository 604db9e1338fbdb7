"""What becomes of one member's ring. Each names the Matrix call of the ring: a user can be rung twice in one call."""

from dataclasses import dataclass

from bridge.core.ids import MatrixCallId, RoomId, UserId
from bridge.core.presence import PresenceState, RingWhen
from bridge.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJudged:
    """Whether the member wants the call now, by what they have set."""

    matrix_call_id: MatrixCallId
    refusal: Verdict | None = None
    ring_when: RingWhen = RingWhen.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPresence:
    """Whether the member is there; `None` when nobody knows."""

    matrix_call_id: MatrixCallId
    state: PresenceState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRoomReady:
    """The room for this member and the caller exists."""

    matrix_call_id: MatrixCallId
    room_id: RoomId
    ghost: UserId
    user_joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRings:
    """The homeserver took the member's invite."""

    matrix_call_id: MatrixCallId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberUnreachable:
    """The member cannot be rung."""

    matrix_call_id: MatrixCallId
    verdict: Verdict


HuntEvent = MemberJudged | MemberPresence | MemberRoomReady | MemberRings | MemberUnreachable
