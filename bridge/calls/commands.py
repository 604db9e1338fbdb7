"""What a call wants done. Carried out by the switchboard, in order, before the call sees its next event.

Commands that take time (media, portal, delivery of an invite) answer with an event; the others are final. Here is what
concerns the call itself; each side, and each thing that a call can become, has a module of its own.
"""

from dataclasses import dataclass

from bridge.calls.announcement_commands import AnnouncementCommand
from bridge.calls.handover_commands import HandoverCommand
from bridge.calls.hunt_commands import HuntCommand
from bridge.calls.matrix_commands import MatrixCommand
from bridge.calls.media_commands import MediaCommand
from bridge.calls.menu_commands import MenuCommand
from bridge.calls.message_commands import MessageCommand
from bridge.calls.sip_commands import SipCommand
from bridge.core.ids import DialogKey, MatrixCallId, RoomId, TrunkName
from bridge.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowMatrixCall:
    """From now on events of this Matrix call belong to this call."""

    room_id: RoomId
    matrix_call_id: MatrixCallId


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowDialog:
    """From now on events of this SIP dialog belong to this call."""

    dialog: DialogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteFailover:
    """A trunk could not carry the call, and the next one is to."""

    trunk: TrunkName
    reason: str
    """That of the verdict which the call would have ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCall:
    """The call is over: write its record and forget it."""

    verdict: Verdict


Command = (
    FollowMatrixCall
    | FollowDialog
    | NoteFailover
    | FinishCall
    | MediaCommand
    | SipCommand
    | MatrixCommand
    | HandoverCommand
    | MessageCommand
    | AnnouncementCommand
    | HuntCommand
    | MenuCommand
)
