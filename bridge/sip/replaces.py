"""The Replaces header: this call takes the place of that one (RFC 3891)."""

import re
from dataclasses import dataclass

from bridge.sip.context import Context
from bridge.sip.dialog import Dialog, DialogId
from bridge.sip.errors import SipError
from bridge.sip.grammar import PARAM_VALUE, parse_params
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Request
from bridge.sip.trunks import TrunkState
from bridge.sip.usage_states import CALLED, OVER

MAX_LENGTH = 512

_CALL_ID = re.compile(r"[!-+\--:<-~]+")
_TAG = re.compile(PARAM_VALUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaces:
    """A dialog, named as the one whose user agent gets this header sees it: its own tag is `to_tag`."""

    sip_call_id: str
    to_tag: str
    """`0` for that of an RFC 2543 peer, which has none (§6.1)."""
    from_tag: str
    early_only: bool = False
    """Only if that call was not answered yet."""

    @classmethod
    def parse(cls, text: str) -> "Replaces":
        """Parse the value of the header (§6.1)."""
        found = _CALL_ID.match(text)
        if found is None or len(text) > MAX_LENGTH:
            raise SipError(400, "Malformed Replaces")
        params = parse_params(text, found.end())
        to_tag, from_tag = params.get("to-tag") or "", params.get("from-tag") or ""
        if not _TAG.fullmatch(to_tag) or not _TAG.fullmatch(from_tag):
            raise SipError(400, "Malformed Replaces")
        return cls(sip_call_id=found[0], to_tag=to_tag, from_tag=from_tag, early_only="early-only" in params)

    @classmethod
    def at_peer(cls, dialog: Dialog) -> "Replaces":
        """What somebody sends to the peer of a dialog of ours to take our place in it."""
        return cls(sip_call_id=dialog.sip_call_id, to_tag=dialog.remote.tag or "0", from_tag=dialog.local.tag or "0")

    def __str__(self) -> str:
        flag = ";early-only" if self.early_only else ""
        return f"{self.sip_call_id};to-tag={self.to_tag};from-tag={self.from_tag}{flag}"


def replaces_of(request: Request) -> Replaces | None:
    """What an INVITE wants to replace; two wishes, or one to join as well (RFC 3911), are none (§3)."""
    values = request.headers.get_all("Replaces")
    if not values:
        return None
    if len(values) > 1 or "Join" in request.headers:
        raise SipError(400, "Conflicting Replaces")
    return Replaces.parse(values[0])


def replaced_call(context: Context, replaces: Replaces, trunk: TrunkState) -> InviteUsage:
    """The call that an INVITE of this trunk takes the place of, or `SipError` with what the RFC answers (§3).

    Only a trunk that may transfer replaces calls, and only its own: whoever knows the three names of a dialog would
    take over anybody's otherwise (§7). Those that began when the trunk had other settings are its own as well.
    """
    if not trunk.trunk.accept_transfers:
        raise SipError(403, "Forbidden")
    usage = _find(context, replaces)
    if usage is None or usage.trunk.trunk.name != trunk.trunk.name or usage.state in CALLED:
        raise SipError(481, "Call to Replace Does Not Exist")
    if usage.state in OVER:
        raise SipError(603, "Decline")
    if replaces.early_only and usage.talking:
        raise SipError(486, "Busy Here")
    return usage


def _find(context: Context, replaces: Replaces) -> InviteUsage | None:
    """A tag of 0 also means one that is missing (§3); ours never are."""
    names = [DialogId(replaces.sip_call_id, replaces.to_tag, replaces.from_tag)]
    if replaces.from_tag == "0":
        names.append(DialogId(replaces.sip_call_id, replaces.to_tag, ""))
    return next((context.dialogs[name] for name in names if name in context.dialogs), None)
