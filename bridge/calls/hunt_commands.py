"""What a call wants done for one member's ring. Failures come back as `MemberUnreachable`."""

from dataclasses import dataclass

from bridge.core.ids import MatrixCallId, RoomId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeMember:
    """Look at what the member has set, and at their other calls → `MemberJudged`."""

    matrix_call_id: MatrixCallId
    user: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskMemberPresence:
    """Find out whether the member is there → `MemberPresence`."""

    matrix_call_id: MatrixCallId
    user: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMemberRoom:
    """Find or make the ghost and the member's room → `MemberRoomReady`."""

    matrix_call_id: MatrixCallId
    user: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteMember:
    """→ `MemberRings`."""

    matrix_call_id: MatrixCallId
    user: UserId
    room_id: RoomId
    ghost: UserId
    sdp: str
    lifetime_ms: int


HuntCommand = JudgeMember | AskMemberPresence | OpenMemberRoom | InviteMember
