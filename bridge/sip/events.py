"""What the SIP user agent tells its user about calls, and what is needed to place one.

A `DialogKey` names one invite usage from its INVITE to its end; every event of a call carries it.
Session descriptions are opaque text here.
"""

import enum
from dataclasses import field

from bridge.core.ids import DialogKey, SipCallId, TextKey, TrunkName
from bridge.core.values import record_type
from bridge.sip.dialog_info import PhoneState
from bridge.sip.uri import SipUri


@record_type
class OutgoingCall:
    """A call to place through a trunk."""

    trunk: TrunkName
    called: str
    """Whom to call: an E.164 number, a short code, or the name of an extension; sent in the trunk's number format."""
    caller: str
    """Who calls, for From and the trunk's identity headers; empty is anonymous (RFC 3323)."""
    caller_name: str = ""
    withheld: bool = False
    """The trunk may know the caller, the called party must not (RFC 3323, RFC 3325 §7)."""
    diverted_from: tuple[str, ...] = ()
    """Numbers that forwarded this call, the newest first (RFC 5806, RFC 7044)."""
    sdp: str | None = None
    target: SipUri | None = None
    """Call exactly this address, not `called` at the trunk: a peer asked for it with REFER."""
    replaces: str | None = None
    """The Replaces header to send, as a peer gave it (RFC 3891)."""
    referred_by: str = ""
    """Who asked for this call, as its Referred-By said (RFC 3892)."""
    impatient: bool = False
    """Whether the trunk's silence is borne no longer than a server's: another one takes the call."""
    urgent: bool = False
    """Whether it is given up long before timer B where the trunk is silent, though no other one takes the call."""


@record_type
class OutgoingText:
    """A text message to send through a trunk."""

    trunk: TrunkName
    called: str
    """As in `OutgoingCall`."""
    caller: str
    caller_name: str = ""
    withheld: bool = False
    body: str = field(repr=False)


@record_type
class ReferTarget:
    """Whom a peer asks us to call (RFC 3515 §2.1)."""

    user: str
    """The number or name in `uri`, which our own policy has to permit."""
    uri: SipUri
    """The target itself, without headers; a telephone number is one at the trunk."""
    replaces: str | None = None
    """The value of Replaces for the INVITE to the target: an attended transfer (RFC 3891 §3)."""


class Attestation(enum.StrEnum):
    """What the network where a call began knows of its caller (RFC 8588 §4)."""

    FULL = "A"
    """The caller, and that the number is the caller's."""
    PARTIAL = "B"
    """The caller, but not the number."""
    GATEWAY = "C"
    """Only where the call came in."""


@record_type
class Verification:
    """A statement about the caller's number. We check no signature: it is as good as the trunk that passes it on."""

    attestation: Attestation | None = None
    passed: bool | None = None
    """Whether the trunk's network verified the signature; `None` when it does not say."""


@record_type
class IncomingCall:
    """An INVITE outside a dialog, from a known trunk; 100 has been sent."""

    dialog: DialogKey
    trunk: TrunkName
    sip_call_id: SipCallId
    called: str
    caller: str
    """Empty when the caller withheld it (RFC 3323, RFC 3325)."""
    caller_name: str = ""
    diverted_from: tuple[str, ...] = ()
    """Numbers that forwarded this call to us, the newest first; only from a trunk that is believed."""
    verification: Verification | None = None
    """What the trunk's network says of the caller's number; only from a trunk that is believed."""
    sdp: str | None = None
    """`None` is a late offer: we offer in the 2xx, the answer comes in the ACK (RFC 3264 §5)."""
    replaces: DialogKey | None = None
    """The call of ours that this one takes the place of: end that when this is accepted (RFC 3891 §3)."""


@record_type
class IncomingRefused:
    """An INVITE that a limit of its trunk keeps out: it has been refused, and its dialog never was."""

    limit: str
    """`max_calls` or `max_incoming_per_s`."""
    call: IncomingCall

    @property
    def dialog(self) -> DialogKey:
        """Which no other event carries."""
        return self.call.dialog


@record_type
class CallProgress:
    """A provisional response above 100 (180 ringing, 183 progress …) to our INVITE."""

    dialog: DialogKey
    status: int
    sdp: str | None = None


@record_type
class CallAnswered:
    """The first 2xx to our INVITE; the ACK is already on its way."""

    dialog: DialogKey
    sdp: str | None = None


@record_type
class CallFailed:
    """Our INVITE ended without a dialog, or was cancelled by us (487)."""

    dialog: DialogKey
    status: int
    """Final status; 408 for a timeout and 503 for a transport failure that we made up (RFC 3261 §8.1.3.1)."""
    reason_phrase: str = ""
    q850: int | None = None
    redirected_to: str = ""
    """The number that a 3xx names instead of the called one: whether it may be called is for the call's policy."""
    local: bool = False
    """Whether the status was made up here, because no response came."""


@record_type
class CallCancelled:
    """The caller gave up before we answered; 487 has been sent."""

    dialog: DialogKey
    answered_elsewhere: bool = False
    """Reason: SIP;cause=200 (RFC 3326)."""


@record_type
class CallEnded:
    """An established dialog is over: BYE from the peer, or its ACK never came."""

    dialog: DialogKey
    q850: int | None = None
    by_peer: bool = True
    expired: bool = False
    """Nobody confirmed any more that the call goes on (RFC 4028 §10)."""


@record_type
class CallConfirmed:
    """The ACK for our 2xx came; `sdp` is the answer to a late offer."""

    dialog: DialogKey
    sdp: str | None = None


@record_type
class CallReoffered:
    """A re-INVITE (or UPDATE with an offer) inside an established dialog; answer with `accept` or `reject`."""

    dialog: DialogKey
    sdp: str | None = None


@record_type
class CallReferred:
    """The peer asks to be transferred (REFER); answer with `accept_referral` or `refuse_referral`."""

    dialog: DialogKey
    target: ReferTarget
    referred_by: str = ""
    """Who asks, for `OutgoingCall.referred_by`; empty when the peer does not say (RFC 3892)."""


@record_type
class ReferralProgress:
    """What came of our own REFER; from 200 on it is the last word."""

    dialog: DialogKey
    status: int
    """Of the call to the target, or of the refused REFER; 408 when the peer never told how it ended."""
    refused: bool = False
    """Whether the peer would not even try."""


@record_type
class DigitsReceived:
    """Keys that the peer pressed, in an INFO (RFC 6086 and what came before it)."""

    dialog: DialogKey
    digits: str = field(repr=False)
    """Of `0123456789*#ABCD`, and `!` for a hook flash. They may be a PIN: nobody logs them."""
    duration_ms: int


@record_type
class CallReofferAnswered:
    """The answer to a re-INVITE or UPDATE of ours."""

    dialog: DialogKey
    sdp: str | None = None


@record_type
class CallReofferRefused:
    """The peer refused our re-INVITE or UPDATE; the session stays as it was (RFC 3261 §14.1)."""

    dialog: DialogKey
    status: int


@record_type
class CallIdentityChanged:
    """We talk to somebody else now: the call was transferred or forwarded behind the peer (RFC 4916, RFC 5876)."""

    dialog: DialogKey
    number: str
    """Empty when withheld."""
    name: str = ""


@record_type
class CallMoved:
    """Requests of the call take another way now than when it was written down, and have to: write it down anew."""

    dialog: DialogKey


@record_type
class PhoneStateChanged:
    """A phone that is watched does something else than before (RFC 4235)."""

    trunk: TrunkName
    phone: str
    """As the trunk's `presence_of` names it."""
    state: PhoneState


@record_type
class TextReceived:
    """A MESSAGE of a known trunk; its sender waits for the answer."""

    text: TextKey
    trunk: TrunkName
    called: str
    caller: str
    """Empty when the sender withheld it."""
    caller_name: str = ""
    body: str = field(repr=False)


@record_type
class TextDelivered:
    """The trunk has taken our text message."""

    text: TextKey


@record_type
class TextFailed:
    """The trunk refused our text message, or could not be reached."""

    text: TextKey
    status: int
    """As in `CallFailed`."""
    local: bool = False
    """Whether the status was made up here, because no response came."""


CallEvent = (
    IncomingCall
    | IncomingRefused
    | CallProgress
    | CallAnswered
    | CallFailed
    | CallCancelled
    | CallEnded
    | CallConfirmed
    | CallReoffered
    | CallReferred
    | ReferralProgress
    | DigitsReceived
    | CallReofferAnswered
    | CallReofferRefused
    | CallIdentityChanged
    | CallMoved
)

TextEvent = TextReceived | TextDelivered | TextFailed


@record_type
class TrunkLeft:
    """Nothing goes on any more with a trunk that the configuration no longer has, or has otherwise."""

    trunk: TrunkName


SipEvent = CallEvent | PhoneStateChanged | TextEvent | TrunkLeft
