"""Placing calls: when, through which server, with which INVITE (RFC 3261 §13.2.1, RFC 3323, RFC 3325)."""

from dataclasses import dataclass
from functools import partial

from bridge.core.entropy import Entropy
from bridge.core.ids import DialogKey
from bridge.sip.actions import LocalAddress
from bridge.sip.call_limits import CallLimits
from bridge.sip.caller_fields import CallerFields
from bridge.sip.capabilities import capabilities, required
from bridge.sip.context import Context
from bridge.sip.diversion import diversion_fields
from bridge.sip.errors import LocalSipError
from bridge.sip.events import CallFailed, OutgoingCall
from bridge.sip.failover import Hunt, hops_of
from bridge.sip.fields import NameAddr
from bridge.sip.identity import Caller
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Request
from bridge.sip.number_forms import written, written_called
from bridge.sip.requests import new_request, with_sdp
from bridge.sip.saved import whereabouts
from bridge.sip.session_timer import Policy
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri
from bridge.sip.usage_events import SilenceLasted
from bridge.sip.usage_states import UsageState


@dataclass(slots=True, kw_only=True, eq=False)
class Outbound:
    """The client half of the user agent."""

    context: Context

    def __post_init__(self) -> None:
        self.follow(0.0)

    def follow(self, now: float) -> None:
        """Have limits for the trunks that there are now."""
        limits = self.context.limits
        for name, known in list(limits.items()):
            if self.context.trunks.get(name) is not known.state:
                limits.pop(name).leave()
        for state in self.context.trunks:
            if state.trunk.name in limits:
                limits[state.trunk.name].follow(now)
            else:
                limits[state.trunk.name] = CallLimits.of(state, self.context, self._place)

    def ask(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        """Place a call, at once or when the limits of its trunk let it begin."""
        limits = self.context.limits.get(call.trunk)
        if limits is None:
            self._place(dialog, call, now)
        else:
            limits.ask(dialog, call, now)

    def _place(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        context = self.context
        state = context.trunks.get(call.trunk)
        hops = hops_of(state, context.entropy, now) if state is not None else ()
        if state is None or not hops:
            context.emit(CallFailed(dialog=dialog, status=503, reason_phrase="No Address", local=True))
            return
        flow = hops[0].flow
        local = context.layer.local_address(flow)
        try:
            request = new_invite(call, state, local, entropy=context.entropy, user_agent=context.settings.user_agent)
        except LocalSipError:
            context.emit(CallFailed(dialog=dialog, status=484, reason_phrase="Address Incomplete", local=True))
            return
        usage = InviteUsage(
            key=dialog,
            trunk=state,
            context=context,
            flow=flow,
            state=UsageState.CALLING,
            local_tag=request.from_.tag or "",
            secure=isinstance(request.uri, SipUri) and request.uri.scheme == "sips",
            party=Caller(number=call.called),
        )
        context.usages[dialog] = usage
        on_silence = partial(usage.handle, SilenceLasted()) if call.impatient or call.urgent else None
        last = call.urgent and not call.impatient
        usage.hunt = Hunt.through(hops, context=context, trunk=state, user=usage, on_silence=on_silence, is_last=last)
        usage.invite = usage.hunt.start(request, now)
        usage.whereabouts = whereabouts(usage)


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
    """A call that a REFER asked for (RFC 3891 §4, RFC 3892 §2.1).

    Who takes the place of nobody would be a call of its own, which nobody has judged: then rather none (420).
    """
    require = "replaces" if call.replaces else ""
    fields = (("Replaces", call.replaces), ("Require", require), ("Referred-By", call.referred_by))
    return [(name, value) for name, value in fields if value]
