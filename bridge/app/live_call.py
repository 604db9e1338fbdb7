"""A call together with what carries it while it lives: its media session, its queues and its timer."""

import asyncio
from dataclasses import dataclass, field

from bridge.app.lane import Lane
from bridge.calls.call import Call
from bridge.core.clock import Clock
from bridge.core.ids import DialogKey, MatrixCallId, RoomId, SipCallId
from bridge.media.engine import MediaSession, MediaStats


@dataclass(slots=True, kw_only=True, eq=False)
class LiveCall:
    """Nothing in here decides anything; all that a call knows is in `call`."""

    call: Call
    caller: str = ""
    """The calling number: what the phone is shown, or what it said it was."""
    called: str = ""
    caller_name: str = ""
    sip_call_id: SipCallId | None = None
    remembered: bool = False
    """Whether the call has been written down and must be forgotten again."""
    snapshot_due: bool = False
    started_wall: float
    """Seconds since 1970, when the first event of the call came."""
    started: float
    """The same moment on the monotonic clock."""
    media_lane: Lane = field(default_factory=Lane)
    matrix_lane: Lane = field(default_factory=Lane)
    dialogs: set[DialogKey] = field(default_factory=set)
    matrix_calls: set[tuple[RoomId, MatrixCallId]] = field(default_factory=set)
    room_id: RoomId | None = None
    """Names under which the directory finds this call; kept by the directory."""
    session: MediaSession | None = None
    stats: MediaStats = field(default_factory=MediaStats)
    timer: asyncio.TimerHandle | None = None
    sent: int = 0
    """Events sent to Matrix so far: the last part of their transaction ids."""

    @classmethod
    def of(cls, call: Call, *, clock: Clock, caller: str = "", called: str = "", caller_name: str = "") -> "LiveCall":
        """A call that begins now."""
        return cls(
            call=call,
            caller=caller,
            called=called,
            caller_name=caller_name,
            started_wall=clock.wall(),
            started=clock.monotonic(),
        )

    def next_txn_id(self, kind: str) -> str:
        """Unique over all ghosts and calls: the homeserver compares transaction ids without regard to the ghost."""
        self.sent += 1
        return f"{self.call.call_id}.m.{kind}.{self.sent}"

    def wall(self, at: float | None) -> float | None:
        """Calendar time of a moment on the call's clock."""
        return None if at is None else self.started_wall + (at - self.started)
