"""What happens in the SIP dialog of a call: with the phone that it is with. Of others tells `transfer_events`."""

from dataclasses import dataclass, field

from bridge.core.ids import DialogKey, SipCallId, TrunkName


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


SipEvent = (
    SipProgress
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
)
