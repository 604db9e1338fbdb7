"""What can happen to a call. Frozen values that carry no protocol object, so a call can be written down and replayed.

Events of the Matrix leg name the user and the party (device) they come from; whether those count is decided in the
call. `m.call.*` is one implementation of that leg, another kind of Matrix call would send the same events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.handover_events import HandoverEvent
from bridge.calls.hunt_events import HuntEvent
from bridge.calls.menu_events import MenuEvent
from bridge.calls.message_events import MessageEvent
from bridge.calls.state import Timer
from bridge.calls.transfer_events import TransferEvent
from bridge.core.ids import DialogKey, MatrixCallId, PartyId, RoomId, SipCallId, TrunkName, UserId
from bridge.core.presence import PresenceState
from bridge.core.verdict import MatrixReason, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One trickled ICE candidate of the Matrix side."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


# --- begin and end ---


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPermitted:
    """Policy let an outgoing call pass. `hold_s` waits for a hangup that may lie further back in a backlog."""

    hold_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """The call may not or cannot be made; nothing has been sent on the other side yet."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Trunkline itself ends the call: shutdown, an operator, or an internal error."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A deadline of the call has passed."""

    timer: Timer


# --- Matrix leg ---


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


# --- SIP leg ---


@dataclass(frozen=True, slots=True, kw_only=True)
class SipProgress:
    status: int
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAnswered:
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipFailed:
    status: int
    q850: int | None = None
    redirected_to: str = ""
    """The number that the phone's side names instead of the called one."""
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SipCancelled:
    answered_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SipEnded:
    q850: int | None = None
    by_peer: bool = True
    expired: bool = False
    """Nobody confirmed any more that the call goes on (RFC 4028 §10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipConfirmed:
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipReoffered:
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipReofferAnswered:
    """The phone's answer to an offer of ours within the call."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SipReofferRefused:
    """The phone keeps the session as it is (RFC 3261 §14.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChanged:
    """The call is with somebody else now, or with somebody that we know better (RFC 4916)."""

    number: str
    """Canonical; empty when withheld."""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneKeysPressed:
    """Keys of the phone that came by signalling, on a trunk that sends them so."""

    digits: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingSipCall:
    """The phone that we are calling calls this same user (glare between SIP and Matrix)."""

    dialog: DialogKey
    trunk: TrunkName
    sip_call_id: SipCallId
    sdp: str | None


# --- media ---


@dataclass(frozen=True, slots=True, kw_only=True)
class SipOfferReady:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixOfferReady:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixAnswerReady:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAnswerReady:
    """Our description for the 2xx: an answer, or the offer when the INVITE had none."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BothAnswersReady:
    """After crossing calls: both sides offered, both are answered."""

    matrix_sdp: str
    sip_sdp: str | None
    """`None` for a phone that has been answered already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipReofferReady:
    """Our offer to the phone, since the user's client held or resumed."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeyPressed:
    """A key of the user's client, on a trunk to which keys go by signalling."""

    digit: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferAnswered:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferRefused:
    """A re-INVITE cannot be met; the call goes on as it was (RFC 3261 §14.2)."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixReofferAnswered:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixReofferRefused:
    """The client's change cannot be met: the change is given up, not the call (MSC2746)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRefused:
    """A description cannot be used or a resource is missing."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConnected:
    """ICE and DTLS are up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLost:
    """The audio is gone for good."""

    reason: MatrixReason


OfMatrixCall = CandidatesReceived | AnswerReceived | AnswerSelected | RejectReceived | HangupReceived | MatrixReoffered
"""Events that name the Matrix call they belong to; a call can have two of them while calls cross."""

Event = (
    CallPermitted
    | CallRefused
    | Aborted
    | TimerFired
    | CandidatesReceived
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
    | SipProgress
    | SipAnswered
    | SipFailed
    | SipCancelled
    | SipEnded
    | SipConfirmed
    | SipReoffered
    | SipReofferAnswered
    | SipReofferRefused
    | IdentityChanged
    | PhoneKeysPressed
    | CrossingSipCall
    | SipOfferReady
    | MatrixOfferReady
    | MatrixAnswerReady
    | SipAnswerReady
    | BothAnswersReady
    | ReofferAnswered
    | ReofferRefused
    | MatrixReofferAnswered
    | MatrixReofferRefused
    | MediaRefused
    | MediaConnected
    | MediaLost
    | SipReofferReady
    | ClientKeyPressed
    | TransferEvent
    | HandoverEvent
    | MessageEvent
    | AnnouncementReady
    | HuntEvent
    | MenuEvent
)
