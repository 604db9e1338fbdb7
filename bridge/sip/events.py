"""What the SIP user agent tells its user about calls, and what is needed to place one.

A `DialogKey` names one invite usage from its INVITE to its end; every event of a call carries it.
Session descriptions are opaque text here.
"""

from dataclasses import dataclass

from bridge.core.ids import DialogKey, SipCallId, TrunkName


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCall:
    """A call to place through a trunk."""

    trunk: TrunkName
    called: str
    """User part of the Request-URI: an E.164 number, a short code, or the name of an extension."""
    caller: str
    """User part of From (and of P-Asserted-Identity where the trunk wants it); empty is anonymous (RFC 3323)."""
    caller_name: str = ""
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    """An INVITE outside a dialog, from a known trunk; 100 has been sent."""

    dialog: DialogKey
    trunk: TrunkName
    sip_call_id: SipCallId
    called: str
    caller: str
    """Empty when the caller withheld it (RFC 3323, RFC 3325)."""
    caller_name: str = ""
    sdp: str | None = None
    """`None` is a late offer: we offer in the 2xx, the answer comes in the ACK (RFC 3264 §5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgress:
    """A provisional response above 100 (180 ringing, 183 progress …) to our INVITE."""

    dialog: DialogKey
    status: int
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """The first 2xx to our INVITE; the ACK is already on its way."""

    dialog: DialogKey
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed:
    """Our INVITE ended without a dialog, or was cancelled by us (487)."""

    dialog: DialogKey
    status: int
    """Final status; 408 for a timeout and 503 for a transport failure that we made up (RFC 3261 §8.1.3.1)."""
    reason_phrase: str = ""
    q850: int | None = None
    local: bool = False
    """Whether the status was made up here, because no response came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCancelled:
    """The caller gave up before we answered; 487 has been sent."""

    dialog: DialogKey
    answered_elsewhere: bool = False
    """Reason: SIP;cause=200 (RFC 3326)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """An established dialog is over: BYE from the peer, or its ACK never came."""

    dialog: DialogKey
    q850: int | None = None
    by_peer: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfirmed:
    """The ACK for our 2xx came; `sdp` is the answer to a late offer."""

    dialog: DialogKey
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReoffered:
    """A re-INVITE (or UPDATE with an offer) inside an established dialog; answer with `accept` or `reject`."""

    dialog: DialogKey
    sdp: str | None = None


SipEvent = (
    IncomingCall | CallProgress | CallAnswered | CallFailed | CallCancelled | CallEnded | CallConfirmed | CallReoffered
)
