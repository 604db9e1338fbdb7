"""Who is at the other end of a call by now: the connected line (RFC 4916, RFC 5876)."""

from typing import TYPE_CHECKING

from bridge.sip.events import CallIdentityChanged
from bridge.sip.identity import connected_party
from bridge.sip.message import Message, Request

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

FROM_CHANGE = "from-change"
"""The peer may say in From that somebody else speaks now (RFC 4916 §4.2)."""


def note_party(usage: "InviteUsage", message: Message) -> None:
    """Tell who it is that sent a message inside the call, if that is not who it was before."""
    request = message if isinstance(message, Request) else None
    changeable = FROM_CHANGE in message.supported or usage.from_changes
    usage.from_changes = changeable
    if request is not None and changeable:
        _follow_from(usage, request)
    party = connected_party(message, usage.trunk.trunk, by_from=changeable)
    if party is not None and party != usage.party:
        usage.party = party
        usage.context.emit(CallIdentityChanged(dialog=usage.key, number=party.number, name=party.name))


def _follow_from(usage: "InviteUsage", request: Request) -> None:
    """The peer is addressed as it calls itself now; its tag is the same (RFC 4916 §4.4)."""
    dialog = usage.dialog_of(request)
    if dialog is not None and request.from_.tag == dialog.remote.tag:
        dialog.remote = request.from_
