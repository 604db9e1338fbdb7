"""Calls that an earlier process began, taken up again so that they can be ended (RFC 3261 §9.1, §13.3.1, §15.1)."""

from dataclasses import replace

from bridge.core.ids import DialogKey, SipCallId
from bridge.core.values import record_type
from bridge.sip.actions import Flow
from bridge.sip.context import Context
from bridge.sip.credentials import Attempts, Credentials
from bridge.sip.dialog import Dialog
from bridge.sip.errors import SipError
from bridge.sip.fields import NameAddr
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Request
from bridge.sip.parser import parse_message
from bridge.sip.saved import SavedDialog, SavedLeg, whereabouts
from bridge.sip.settings import Transport, Trunk
from bridge.sip.targets import Server, Target
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri
from bridge.sip.usage_states import UsageState

CSEQ_GAP = 1_000
"""Requests may have been sent since a call was written down (a PRACK where it rings, digits where it talks).

Numbers may be skipped, but none used again (§12.2).
"""


@record_type
class Revive:
    """Take up a call of an earlier process, under its key of then; it can only be ended."""

    dialog: DialogKey
    leg: SavedLeg


def revive(asked: Revive, context: Context) -> None:
    """Put the call among the living, as far as it can still be understood and its phone can be reached."""
    state = context.trunks.get(asked.leg.trunk) or _former_trunk(asked.leg, context)
    if state is None:
        context.note("call_not_revived", warning=True, trunk=asked.leg.trunk)
        return
    usage = InviteUsage(
        key=asked.dialog,
        trunk=state,
        context=context,
        flow=_way(asked.leg.flow, state),
        state=UsageState.ESTABLISHED,
        local_tag=asked.leg.local_tag,
        secure=asked.leg.secure,
        attempts=Attempts(realms=set(asked.leg.realms)),
    )
    try:
        _resume(usage, asked.leg)
    except SipError as error:
        context.fault("call_not_revived", error)
        return
    usage.whereabouts = whereabouts(usage)
    context.usages[usage.key] = usage


def _way(flow: Flow, state: TrunkState) -> Flow:
    """By a connection that the settings of now make, if it was one that we had made."""
    flow = replace(flow, connection=0)
    return flow if flow.trunk is None else state.secured(flow)


def _former_trunk(leg: SavedLeg, context: Context) -> TrunkState | None:
    """What the way of a call tells of a trunk that was taken out of the configuration: enough to end the call.

    Not over TLS: whom to trust there was in the configuration. Nor are there credentials, for whoever asks for some.
    """
    flow = leg.flow
    if flow.transport is Transport.TLS:
        return None
    trunk = Trunk(name=leg.trunk, host=flow.host, port=flow.port, transport=flow.transport)
    target = Target(flow.transport, flow.host, flow.port)
    return TrunkState(
        trunk=trunk,
        credentials=Credentials(trunk, context.entropy),
        line="",
        servers=(Server(targets=(target,)),),
    )


def _resume(usage: InviteUsage, leg: SavedLeg) -> None:
    if leg.dialog is not None:
        usage.dialog = _dialog(leg.dialog)
        usage.register(usage.dialog)
        return
    request = parse_message(leg.invite.encode())
    if not isinstance(request, Request):
        raise SipError(None, "Not an INVITE")
    if leg.placed:
        usage.invite = usage.context.layer.resume_invite(request, usage.flow, usage)
        usage.state = UsageState.PROCEEDING
        usage.cseq_gap = CSEQ_GAP
    else:
        usage.dialog = Dialog.from_request(request, leg.local_tag)
        usage.dialog.local_cseq += CSEQ_GAP
        usage.incoming = usage.context.layer.receive_request(request, usage.flow)
        usage.incoming.user = usage
        usage.state = UsageState.UNSURE
        usage.register(usage.dialog)


def _dialog(saved: SavedDialog) -> Dialog:
    return Dialog(
        sip_call_id=SipCallId(saved.sip_call_id),
        local=NameAddr.parse(saved.local),
        remote=NameAddr.parse(saved.remote),
        local_cseq=saved.local_cseq + CSEQ_GAP,
        remote_cseq=saved.remote_cseq,
        remote_target=SipUri.parse(saved.remote_target),
        route_set=tuple(map(NameAddr.parse, saved.route_set)),
    )
