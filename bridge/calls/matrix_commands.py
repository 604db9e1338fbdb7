"""What a call wants to be done and said on its Matrix side. What takes time answers with an event."""

from dataclasses import dataclass

from bridge.core.ids import MatrixCallId, PartyId, RoomId, UserId
from bridge.core.verdict import MatrixReason


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPresence:
    """Find out whether the user is there → `PresenceKnown`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPortal:
    """Find or make the ghost and the room → `PortalReady` or `CallRefused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendInvite:
    """→ `InviteDelivered` or `CallRefused`."""

    sdp: str
    lifetime_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAnswer:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNegotiateAnswer:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMatrixCall:
    """A Matrix call that is not, or no longer, the call's own: the loser of a glare, or the ring of one of several
    members; it may be in another room."""

    call_id: MatrixCallId
    room_id: RoomId
    ghost: UserId
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSelectAnswer:
    selected_party: PartyId
    other: OtherMatrixCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReject:
    reason: MatrixReason | None
    other: OtherMatrixCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendHangup:
    reason: MatrixReason
    other: OtherMatrixCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendIdentity:
    """Who the phone's side is now (MSC3086)."""

    number: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNotice:
    """A sentence for the people in the room; one that is not `urgent` is not repeated for a while."""

    text: str
    urgent: bool = False
    other: OtherMatrixCall | None = None


MatrixCommand = (
    AskPresence
    | OpenPortal
    | SendInvite
    | SendAnswer
    | SendNegotiateAnswer
    | SendSelectAnswer
    | SendReject
    | SendHangup
    | SendIdentity
    | SendNotice
)
