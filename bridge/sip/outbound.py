"""The INVITE of a call that we place (RFC 3261 §13.2.1, RFC 3323, RFC 3325)."""

from bridge.core.entropy import Entropy
from bridge.sip.actions import LocalAddress
from bridge.sip.capabilities import capabilities
from bridge.sip.events import OutgoingCall
from bridge.sip.fields import NameAddr
from bridge.sip.identity import ANONYMOUS_HOST, ANONYMOUS_USER
from bridge.sip.message import Request
from bridge.sip.requests import new_request, with_sdp
from bridge.sip.settings import IdentityHeader
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri


def new_invite(
    call: OutgoingCall, state: TrunkState, local: LocalAddress, *, entropy: Entropy, user_agent: str
) -> Request:
    """Everything but the Via."""
    target = call.target or state.uri(call.called)
    fields = [
        ("Contact", f"<{state.contact(local, secure=target.scheme == 'sips')}>"),
        *capabilities(state.trunk),
        ("User-Agent", user_agent),
        *_identity(call, state),
        *_transfer(call),
    ]
    request = new_request(
        "INVITE",
        target,
        from_=_from(call, state, entropy.token(12)),
        to=NameAddr("", target),
        sip_call_id=entropy.token(24),
        cseq=1,
        fields=fields,
    )
    return with_sdp(request, call.sdp)


def _transfer(call: OutgoingCall) -> list[tuple[str, str]]:
    """A call that a REFER asked for (RFC 3891 §4, RFC 3892 §2.1)."""
    fields = (("Replaces", call.replaces), ("Referred-By", call.referred_by))
    return [(name, value) for name, value in fields if value]


def _from(call: OutgoingCall, state: TrunkState, tag: str) -> NameAddr:
    if not call.caller:
        return NameAddr("Anonymous", SipUri("sip", ANONYMOUS_USER, None, ANONYMOUS_HOST), {"tag": tag})
    return NameAddr(call.caller_name, state.uri(call.caller), {"tag": tag})


def _identity(call: OutgoingCall, state: TrunkState) -> list[tuple[str, str]]:
    """The caller as the trunk is told; an anonymous call asserts nothing."""
    if not call.caller:
        return [("Privacy", "id")]
    if IdentityHeader.ASSERTED not in state.trunk.identity_headers:
        return []
    return [("P-Asserted-Identity", str(NameAddr(call.caller_name, state.uri(call.caller))))]
