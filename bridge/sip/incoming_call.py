"""A call that a phone places: what is kept of its INVITE, and what our user is told of it (RFC 3261 §13.3.1)."""

from bridge.core.ids import DialogKey, SipCallId
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.bodies import session_description
from bridge.sip.connected import FROM_CHANGE
from bridge.sip.context import Context
from bridge.sip.dialog import Dialog, wants_sips
from bridge.sip.diversion import diverted_from
from bridge.sip.events import IncomingCall
from bridge.sip.identity import called_of, caller_of
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Request
from bridge.sip.reliable import MAX_FIRST_RSEQ, Provisionals, may_be_reliable
from bridge.sip.replaces import replaced_call, replaces_of
from bridge.sip.saved import whereabouts
from bridge.sip.settings import Transport
from bridge.sip.trunks import TrunkState
from bridge.sip.usage_states import UsageState
from bridge.sip.verification import verification_of


def open_call(context: Context, state: TrunkState, server: ActiveServer) -> None:
    """Whatever can be wrong with the INVITE shows before anything is kept of it."""
    request = server.request
    tag = context.tag()
    dialog = Dialog.from_request(request, tag)
    usage = InviteUsage(
        key=DialogKey(context.entropy.token(24)),
        trunk=state,
        context=context,
        flow=server.source,
        state=UsageState.RINGING,
        local_tag=tag,
        secure=server.source.transport is Transport.TLS and wants_sips(request),
        dialog=dialog,
        incoming=server,
        provisionals=_provisionals(context, state, request),
        party=caller_of(request, state.trunk),
        from_changes=FROM_CHANGE in request.supported,
    )
    event = _incoming_call(usage.key, state, request, replaces=_replaced(context, request, state))
    usage.register(dialog)
    server.user = usage
    context.usages[usage.key] = usage
    usage.whereabouts = whereabouts(usage)
    context.emit(event)


def refused_call(context: Context, state: TrunkState, request: Request) -> IncomingCall:
    """A call that never begins, for the record alone."""
    return _incoming_call(DialogKey(context.entropy.token(24)), state, request, replaces=None)


def _provisionals(context: Context, state: TrunkState, request: Request) -> Provisionals | None:
    if not may_be_reliable(request, state.trunk.reliable):
        return None
    first = context.entropy.integer(1, MAX_FIRST_RSEQ)
    return Provisionals(rseq=first - 1, invite_cseq=request.cseq.number)


def _incoming_call(
    dialog: DialogKey, state: TrunkState, request: Request, *, replaces: DialogKey | None
) -> IncomingCall:
    trunk = state.trunk
    caller = caller_of(request, trunk)
    return IncomingCall(
        dialog=dialog,
        trunk=trunk.name,
        sip_call_id=SipCallId(request.call_id),
        called=called_of(request, state),
        caller=caller.number,
        caller_name=caller.name,
        diverted_from=diverted_from(request, trunk),
        verification=verification_of(request, trunk, caller.number),
        sdp=session_description(request),
        replaces=replaces,
    )


def _replaced(context: Context, request: Request, state: TrunkState) -> DialogKey | None:
    replaces = replaces_of(request)
    return None if replaces is None else replaced_call(context, replaces, state).key
