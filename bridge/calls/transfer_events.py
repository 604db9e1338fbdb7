"""What happens when one phone is to take the place of another in a call (RFC 3515, RFC 3891).

The phone may ask for it (REFER: we call its target), or the other phone calls in (INVITE with Replaces).
"""

from dataclasses import dataclass

from bridge.core.ids import DialogKey, SipCallId


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPermitted:
    """The phone asks to be replaced by another one, and policy let it pass."""

    number: str
    """Canonical; the user part of `uri` when the trunk itself says whom to call."""
    caller: str
    withheld: bool = False
    """Whether the other phone is shown no number of ours."""
    uri: str = ""
    """The very address to call; empty is `number` at the trunk."""
    replaces: str | None = None
    """The Replaces header for it: the phone has talked to the other one (an attended transfer)."""
    referred_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferForbidden:
    """The phone asks for somebody whom the call's user may not call, or who cannot be called."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOfferReady:
    """Our description for the other phone."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress:
    """The other phone rings, or will."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAnswered:
    """The other phone answered."""

    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed:
    """The other phone refused, or cannot be reached, or hung up at once."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMediaReady:
    """The audio has moved to the other phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMediaRefused:
    """The other phone's description cannot be used; the audio stays where it is."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementOffered:
    """Another phone calls in, to take the place of the one that the call is with."""

    dialog: DialogKey
    sip_call_id: SipCallId
    number: str
    """Canonical; empty when withheld."""
    name: str = ""
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementReady:
    """Our answer for the phone that calls in; its audio is the call's from now on."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementCancelled:
    """The phone that called in gave up before it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferedByAnother:
    """A phone that has yet to take over, or was replaced, offers another session."""

    dialog: DialogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerPhoneLeft:
    """The phone that was replaced has hung up."""


TransferEvent = (
    TransferPermitted
    | TransferForbidden
    | TransferOfferReady
    | TransferProgress
    | TransferAnswered
    | TransferFailed
    | TransferMediaReady
    | TransferMediaRefused
    | ReplacementOffered
    | ReplacementReady
    | ReplacementCancelled
    | ReofferedByAnother
    | FormerPhoneLeft
)
