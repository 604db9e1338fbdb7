"""What a call wants done. Carried out by the switchboard, in order, before the call sees its next event.

Commands that take time (media, portal, delivery of an invite) answer with an event; the others are final.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.calls.announcement_commands import AnnouncementCommand
from bridge.calls.events import Candidate
from bridge.calls.handover_commands import HandoverCommand
from bridge.calls.hunt_commands import HuntCommand
from bridge.calls.menu_commands import MenuCommand
from bridge.calls.message_commands import MessageCommand
from bridge.core.ids import DialogKey, MatrixCallId, PartyId, RoomId, TrunkName, UserId
from bridge.core.verdict import MatrixReason, Verdict

# --- media ---


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSipOffer:
    """Take the Matrix offer, if there is one, and write ours for the phone → `SipOfferReady` or `MediaRefused`."""

    matrix_sdp: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMatrixAnswer:
    """Take the phone's answer and write ours for Matrix → `MatrixAnswerReady` or `MediaRefused`.

    Without a description it has been taken already; `early` means that the phone is not answered yet.
    """

    sip_sdp: str | None
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSipOffer:
    """Take the phone's offer, before anything is made or rings for it → `MediaRefused` when it cannot be used."""

    sip_sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMatrixOffer:
    """Write our offer for Matrix, after the phone's was taken if it made one → `MatrixOfferReady` or `MediaRefused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSipAnswer:
    """Take the selected device's answer and write ours for the phone → `SipAnswerReady` or `MediaRefused`."""

    matrix_sdp: str
    late_offer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBothAnswers:
    """Calls crossed: take both offers, answer both → `BothAnswersReady` or `MediaRefused`.

    `fresh` starts from a new session, because the offer to the phone that it held is void. A phone that was `answered`
    already, before the user was rung, keeps what it has.
    """

    matrix_sdp: str
    sip_sdp: str | None
    fresh: bool
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSipAnswer:
    """An answer to an offer of ours within the call, or to a late one → `MediaRefused` when it cannot be used.

    Before the phone is answered it is `early`; without a description the one that was taken then holds.
    """

    sip_sdp: str | None
    early: bool = False
    from_another: bool = False
    """Whether it comes from a phone that has just taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReoffer:
    """Answer a re-INVITE; without a description, offer anew → `ReofferAnswered` or `ReofferRefused`."""

    sip_sdp: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMatrixReoffer:
    """Answer a new offer of the Matrix side → `MatrixReofferAnswered` or `MatrixReofferRefused`."""

    matrix_sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSipReoffer:
    """Look whether the phone must be told that the client held or resumed → `SipReofferReady`, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTransferOffer:
    """Offer the call's audio to another phone → `TransferOfferReady` or `TransferMediaRefused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeTransferAnswer:
    """Move the audio to the other phone → `TransferMediaReady` or `TransferMediaRefused`."""

    sip_sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReplacement:
    """Move the audio to the phone that calls in → `ReplacementReady` or `TransferMediaRefused`.

    Without a description it is offered one, and moves with the answer.
    """

    sip_sdp: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayKeys:
    """Let the client hear keys of the phone as telephone-events (RFC 4733)."""

    digits: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCandidates:
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseMedia:
    """Free the session; its final numbers belong in the call record."""


# --- SIP ---


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSipCall:
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSip:
    """180 Ringing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptSip:
    """200 to the INVITE or to the pending re-INVITE; `dialog` names one that is not the call's own yet."""

    sdp: str
    dialog: DialogKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSip:
    """A final failure to the INVITE or to the pending re-INVITE; `forward_to` is the number for a 302."""

    status: int
    q850: int | None = None
    forward_to: str = ""
    dialog: DialogKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSip:
    """`dialog` names one that is not, or no longer, the call's own."""

    dialog: DialogKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByeSip:
    q850: int | None = None
    dialog: DialogKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferSip:
    """Offer the phone another session → `SipReofferAnswered` or `SipReofferRefused`."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTransfer:
    """INVITE to the phone that is to take over: the call's `second`."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptReferral:
    """202 to the phone's REFER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseReferral:
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyReferral:
    """Tell the phone that asked how the other one's call goes on; from 200 on it is the last word."""

    dialog: DialogKey
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PressSipKey:
    """A key of the user's client, by INFO."""

    digit: str = field(repr=False)
    duration_ms: int


# --- Matrix ---


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


# --- the call itself ---


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowMatrixCall:
    """From now on events of this Matrix call belong to this call."""

    room_id: RoomId
    matrix_call_id: MatrixCallId


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowDialog:
    """From now on events of this SIP dialog belong to this call."""

    dialog: DialogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteFailover:
    """A trunk could not carry the call, and the next one is to."""

    trunk: TrunkName
    reason: str
    """That of the verdict which the call would have ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCall:
    """The call is over: write its record and forget it."""

    verdict: Verdict


Command = (
    WriteSipOffer
    | WriteMatrixAnswer
    | TakeSipOffer
    | WriteMatrixOffer
    | WriteSipAnswer
    | WriteBothAnswers
    | TakeSipAnswer
    | AnswerReoffer
    | AnswerMatrixReoffer
    | WriteSipReoffer
    | WriteTransferOffer
    | TakeTransferAnswer
    | AnswerReplacement
    | PlayKeys
    | AddCandidates
    | CloseMedia
    | PlaceSipCall
    | RingSip
    | AcceptSip
    | RejectSip
    | CancelSip
    | ByeSip
    | ReofferSip
    | PlaceTransfer
    | AcceptReferral
    | RefuseReferral
    | NotifyReferral
    | PressSipKey
    | AskPresence
    | OpenPortal
    | SendInvite
    | SendAnswer
    | SendNegotiateAnswer
    | SendSelectAnswer
    | SendReject
    | SendHangup
    | SendIdentity
    | SendNotice
    | FollowMatrixCall
    | FollowDialog
    | NoteFailover
    | FinishCall
    | HandoverCommand
    | MessageCommand
    | AnnouncementCommand
    | HuntCommand
    | MenuCommand
)
