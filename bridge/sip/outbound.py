"""The INVITE of a call that we place (RFC 3261 §13.2.1, RFC 3323, RFC 3325)."""

from bridge.core.entropy import Entropy
from bridge.sip.actions import LocalAddress
from bridge.sip.caller_fields import CallerFields
from bridge.sip.capabilities import capabilities, required
from bridge.sip.diversion import diversion_fields
from bridge.sip.events import OutgoingCall
from bridge.sip.fields import NameAddr
from bridge.sip.message import Request
from bridge.sip.number_forms import written, written_called
from bridge.sip.requests import new_request, with_sdp
from bridge.sip.session_timer import Policy
from bridge.sip.trunks import TrunkState


def new_invite(
    call: OutgoingCall, state: TrunkState, local: LocalAddress, *, entropy: Entropy, user_agent: str
) -> Request:
    """Everything but the Via."""
    trunk = state.trunk
    target = call.target or state.uri(written_called(call.called, trunk))
    caller = CallerFields(call=call, state=state)
    diverters = [state.own_uri(written(number, trunk)) for number in call.diverted_from]
    fields = [
        ("Contact", f"<{state.contact(local, secure=target.scheme == 'sips')}>"),
        *capabilities(state.trunk),
        *required(trunk),
        *Policy.of(trunk).request_fields(),
        ("User-Agent", user_agent),
        *state.route_fields(),
        *caller.identities(),
        *diversion_fields(diverters, target, trunk.diversion_header),
        *(trunk.headers if call.target is None else ()),
        *_transfer(call),
    ]
    request = new_request(
        "INVITE",
        target,
        from_=caller.from_(entropy.token(12)),
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
