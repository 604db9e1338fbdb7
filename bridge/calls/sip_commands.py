"""What a call wants to be said in its SIP dialogs."""

from dataclasses import dataclass, field

from bridge.core.ids import DialogKey


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


SipCommand = (
    PlaceSipCall
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
)
