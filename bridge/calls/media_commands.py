"""What a call wants of its media session. What takes time answers with an event."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.calls.matrix_events import Candidate


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


MediaCommand = (
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
)
