"""Provisional responses that are acknowledged: what counts as one, and which is next (RFC 3262)."""

from dataclasses import dataclass

from bridge.sip.dialog import Dialog
from bridge.sip.fields import RAck
from bridge.sip.message import Request, Response
from bridge.sip.settings import Reliable
from bridge.sip.usage_commands import RingAsked

OPTION = "100rel"
MAX_FIRST_RSEQ = 2**31 - 1
"""RFC 3262 §3."""


@dataclass(slots=True, kw_only=True, eq=False)
class Provisionals:
    """Those that we send for one INVITE, one after the other: the next waits for the PRACK of the last (§3)."""

    rseq: int
    """Of the newest."""
    invite_cseq: int
    unacknowledged: Response | None = None
    queued: RingAsked | None = None
    """The newest that waits."""
    interval_s: float = 0.0

    def queue(self, ring: RingAsked) -> None:
        """Keep it until the last one is acknowledged; a description is not lost with the status that it came with."""
        waiting = self.queued.sdp if self.queued is not None else None
        self.queued = RingAsked(status=ring.status, sdp=ring.sdp or waiting)

    def acknowledged_by(self, prack: Request) -> bool:
        """Whether a PRACK means the one that is out; any other gets 481 (§3)."""
        wanted = RAck(self.rseq, self.invite_cseq, "INVITE")
        return self.unacknowledged is not None and prack.rack == wanted

    @property
    def hold_answer(self) -> bool:
        """Whether a 2xx has to wait: a description is out that the peer may not have (§3)."""
        return self.unacknowledged is not None and bool(self.unacknowledged.body)


def may_be_reliable(invite: Request, setting: Reliable) -> bool:
    """Whether we send reliable provisional responses to an INVITE: when the peer knows them, and the trunk may."""
    return setting is not Reliable.OFF and OPTION in invite.supported


def rseq_of(response: Response) -> int | None:
    """The number of a provisional response that wants a PRACK; `None` for any other (§4)."""
    return response.rseq if OPTION in response.require else None


def is_in_order(response: Response, dialog: Dialog | None) -> bool:
    """Whether a provisional response is to be worked on: no repetition, and no gap before it (§4)."""
    rseq = rseq_of(response)
    if rseq is None or dialog is None or dialog.rseq is None:
        return True
    return rseq == dialog.rseq + 1
