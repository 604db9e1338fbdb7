"""What a call needs of the outside to have its commands carried out.

`MatrixPort` leads to the homeserver, `SipPort` to the telephone network; the third port, to the audio, is
`bridge.media.engine.MediaEngine`. The application hands in the real ones, tests hand in their own.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from bridge.core.ids import E164, DialogKey, EventId, RoomId, SipCallId, TrunkName, UserId
from bridge.core.presence import PresenceState
from bridge.sip.events import OutgoingCall
from bridge.sip.saved import SavedLeg


class Portal(Protocol):
    """The room in which a user and the ghost of a number meet."""

    @property
    def room_id(self) -> RoomId: ...
    @property
    def ghost(self) -> UserId: ...
    @property
    def user_joined(self) -> bool: ...


class MatrixPort(Protocol):
    """Rooms, ghosts and sending. Failures are `bridge.core.errors.TrunklineError`."""

    async def send(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Mapping[str, Any],
        txn_id: str,
        give_up_after_s: float,
    ) -> None:
        """Store the event for delivery, in order per room; returns when it is on disk."""
        ...

    async def send_and_wait(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Mapping[str, Any],
        txn_id: str,
        give_up_after_s: float,
    ) -> EventId:
        """Deliver the event; returns when the homeserver has it."""
        ...

    async def withdraw(self, txn_id: str) -> None:
        """Try to deliver an event no longer; it may have got through all the same."""
        ...

    async def joined_members(self, room_id: RoomId) -> frozenset[UserId]: ...

    async def is_public(self, room_id: RoomId) -> bool: ...

    async def display_name(self, user: UserId) -> str:
        """What a user is called, if that can be found out quickly; never fails."""
        ...

    async def presence(self, user: UserId) -> PresenceState | None:
        """Whether a user is there, if that can be found out quickly; never fails."""
        ...

    async def known_ghost(self, number: E164) -> UserId | None:
        """The ghost of a number, if it has been made; never fails."""
        ...

    async def portal(self, *, user: UserId, number: E164, caller_name: str = "") -> Portal:
        """Find or make the room; makes the ghost too, named by the address book or else by `caller_name`."""
        ...

    def ghost_number(self, user_id: UserId) -> str | None:
        """The number behind a ghost of ours, `None` for everybody else."""
        ...

    def is_ours(self, user_id: UserId) -> bool:
        """Whether this is a ghost of ours or our bot."""
        ...


class SipPort(Protocol):
    """The telephone side. Commands for a dialog that has just ended do nothing."""

    def invite(self, call: OutgoingCall) -> DialogKey: ...

    def ring(self, dialog: DialogKey) -> None: ...

    def accept(self, dialog: DialogKey, sdp: str | None) -> None: ...

    def reject(self, dialog: DialogKey, status: int, *, q850: int | None = None, forward_to: str = "") -> None:
        """Refuse a call; with 302, `forward_to` is the number that the trunk should call instead."""
        ...

    def cancel(self, dialog: DialogKey) -> None: ...

    def bye(self, dialog: DialogKey, *, q850: int | None = None) -> None: ...

    def reoffer(self, dialog: DialogKey, sdp: str) -> None: ...

    def accept_referral(self, dialog: DialogKey) -> None: ...

    def refuse_referral(self, dialog: DialogKey, status: int) -> None: ...

    def notify_referral(self, dialog: DialogKey, status: int) -> None: ...

    def refer(self, dialog: DialogKey, target_user: str, *, replaces: DialogKey | None = None) -> None:
        """Ask the peer to call somebody else, in place of another call of ours if given."""
        ...

    def takes_refer(self, dialog: DialogKey) -> bool:
        """Whether the peer says that it can be asked so."""
        ...

    def send_digit(self, dialog: DialogKey, digit: str, duration_ms: int) -> None: ...

    def saved_leg(self, dialog: DialogKey) -> SavedLeg | None:
        """What another process needs to end the call; `None` when there is nothing to end."""
        ...

    def revive(self, dialog: DialogKey, leg: SavedLeg) -> None:
        """Take up a call that an earlier process has left, so that it can be ended."""
        ...

    def sip_call_id(self, dialog: DialogKey) -> SipCallId | None: ...

    def trunk_up(self, trunk: TrunkName) -> bool: ...
