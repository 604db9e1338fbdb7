"""What of a call's SIP side outlives the process, so that the next one can end it (RFC 3261 §9, §13.3, §15)."""

from dataclasses import field
from typing import TYPE_CHECKING

from bridge.core.ids import TrunkName
from bridge.core.values import record_type
from bridge.sip.actions import Flow
from bridge.sip.dialog import Dialog
from bridge.sip.events import CallMoved
from bridge.sip.headers import Headers
from bridge.sip.message import Request
from bridge.sip.usage_states import CALLED, DIALLING, OVER

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

_KEPT = ("Via", "Max-Forwards", "Route", "Record-Route", "From", "To", "Call-ID", "CSeq", "Contact")
"""What CANCEL, ACK and every response take from an INVITE: no credentials, and no keys of audio."""


@record_type
class SavedDialog:
    """A dialog whose call is answered (RFC 3261 §12)."""

    sip_call_id: str
    local: str
    remote: str
    local_cseq: int
    """When it was written down; requests may have been sent since."""
    remote_cseq: int | None
    remote_target: str
    route_set: tuple[str, ...]


@record_type
class SavedLeg:
    """One call as the SIP side knows it: either its INVITE that has no final response, or its dialog."""

    trunk: TrunkName
    flow: Flow
    """The way of the INVITE."""
    secure: bool
    local_tag: str
    realms: tuple[str, ...] = ()
    """Whose challenges were answered: only they may ask again, when we hang up."""
    placed: bool = False
    """Whether the INVITE is ours."""
    invite: str = field(default="", repr=False)
    dialog: SavedDialog | None = field(default=None, repr=False)


Whereabouts = tuple[object, ...]
"""Differs whenever a saved leg would no longer end its call."""


def whereabouts(usage: "InviteUsage") -> Whereabouts | None:
    """Which INVITE has no final response, or where requests of the dialog go; `None` once the call is over."""
    if usage.state in OVER:
        return None
    if usage.state in DIALLING:
        return (usage.invite.key,) if usage.invite is not None else None
    if usage.dialog is None:
        return None
    if usage.state in CALLED:
        return (usage.dialog.name,)
    return (usage.dialog.name, usage.dialog.remote_target, usage.dialog.route_set)


def tell_moved(usage: "InviteUsage") -> None:
    """Have a call written down anew that could not be ended any more by what is written."""
    where = whereabouts(usage)
    if where is not None and where != usage.whereabouts:
        usage.whereabouts = where
        usage.context.emit(CallMoved(dialog=usage.key))


def saved_leg(usage: "InviteUsage") -> SavedLeg | None:
    """The leg as it is now; nothing when no more than its own farewell is missing."""
    if whereabouts(usage) is None:
        return None
    placed = usage.invite if usage.state in DIALLING else None
    pending = placed or (usage.incoming if usage.state in CALLED else None)
    return SavedLeg(
        trunk=usage.trunk.trunk.name,
        flow=usage.flow if placed is None else placed.flow,
        secure=usage.secure,
        local_tag=usage.local_tag,
        realms=tuple(sorted(usage.attempts.realms)),
        placed=placed is not None,
        invite=_outline(pending.request) if pending is not None else "",
        dialog=_saved_dialog(usage.dialog) if pending is None and usage.dialog is not None else None,
    )


def _outline(invite: Request) -> str:
    headers = Headers.trusted([pair for pair in invite.headers if pair[0] in _KEPT])
    return bytes(Request(invite.method, invite.uri_text, headers)).decode(errors="replace")


def _saved_dialog(dialog: Dialog) -> SavedDialog:
    return SavedDialog(
        sip_call_id=dialog.sip_call_id,
        local=str(dialog.local),
        remote=str(dialog.remote),
        local_cseq=dialog.local_cseq,
        remote_cseq=dialog.remote_cseq,
        remote_target=str(dialog.remote_target),
        route_set=tuple(map(str, dialog.route_set)),
    )
