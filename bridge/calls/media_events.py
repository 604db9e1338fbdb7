"""What the media session tells of a call: descriptions that were asked for, keys, and how the audio fares."""

from dataclasses import dataclass, field

from bridge.core.verdict import MatrixReason, Verdict


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


MediaEvent = (
    SipOfferReady
    | MatrixOfferReady
    | MatrixAnswerReady
    | SipAnswerReady
    | BothAnswersReady
    | SipReofferReady
    | ClientKeyPressed
    | ReofferAnswered
    | ReofferRefused
    | MatrixReofferAnswered
    | MatrixReofferRefused
    | MediaRefused
    | MediaConnected
    | MediaLost
)
