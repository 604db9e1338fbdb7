"""The PRACK that acknowledges a reliable provisional response (RFC 3262 §4)."""

from functools import partial
from typing import TYPE_CHECKING

from bridge.sip.dialog import Dialog
from bridge.sip.dialog_request import request_inside
from bridge.sip.message import Response
from bridge.sip.requests import with_sdp

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

MAX_UNANSWERED = 20
"""PRACKs of one call: as many as it may have forks. A callee waits for one before it wants the next (§3)."""


def send_prack(usage: "InviteUsage", dialog: Dialog, sdp: str | None, now: float) -> None:
    """For the newest reliable provisional response of a dialog, with our answer if that had an offer (§5)."""
    if usage.invite is None:
        return
    prack = request_inside(usage, dialog, "PRACK")
    prack.headers.add("RAck", f"{dialog.rseq} {usage.invite.request.cseq}")
    usage.pracks += 1
    usage.ask(dialog, with_sdp(prack, sdp), partial(_finish, usage), now)


def _finish(usage: "InviteUsage", status: int, response: Response | None, now: float) -> None:
    """A peer that did not get our PRACK repeats its response, and in the end gives the call up itself."""
    usage.pracks -= 1
