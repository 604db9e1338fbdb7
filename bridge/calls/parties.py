"""Who a call is between, and who may take a place in it: plain values, without behaviour."""

from dataclasses import dataclass

from bridge.calls import matrix_commands as mxcmd
from bridge.calls.way import Way
from bridge.core.ids import DialogKey, MatrixCallId, PartyId, RoomId, SipCallId, UserId


@dataclass(slots=True, kw_only=True)
class MatrixParty:
    """The Matrix side of a call."""

    call_id: MatrixCallId
    room_id: RoomId | None = None
    ghost: UserId | None = None
    user: UserId
    own_party: PartyId
    peer_party: PartyId | None = None
    """The device at the other end: the caller's, or the one whose answer was selected."""
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The user's own call to us that waits until crossing calls are settled."""

    call: mxcmd.OtherMatrixCall
    party: PartyId | None
    sdp: str


@dataclass(slots=True, kw_only=True)
class SecondLeg:
    """Another phone that is to take the place of the one that the call is with."""

    number: str
    name: str = ""
    caller: str = ""
    withheld: bool = False
    uri: str = ""
    replaces: str | None = None
    referred_by: str = ""
    dialog: DialogKey | None = None
    """`None` until our INVITE is sent."""
    sip_call_id: SipCallId | None = None
    late_offer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """To whom the user has left the phone, as policy let it pass, and how the two are brought together."""

    ways: tuple[Way, ...]
    """To the other phone, the first to try first; there is at least one."""
    new_matrix_call_id: MatrixCallId
    by_refer: bool
    """Whether the phone's side is asked to bring the two together."""
    attended: bool
    """Whether the other phone is on the line already, in a call of its own."""
    referred: bool = False
    """Whether the phone's side has been asked."""
