"""A call together with what carries it while it lives: its media session, its queues and its timer."""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field

from bridge.app.lane import Lane
from bridge.app.stand_in import StandIn
from bridge.calls.call import Call
from bridge.core.ids import DialogKey, MatrixCallId, RoomId, TrunkName, UserId
from bridge.media.engine import MediaSession, MediaStats
from bridge.ops.spans.model import Moment
from bridge.ops.traces.audio import Interval, Sample

INTERVALS_KEPT = 60
"""Figures of a call's audio at hand: five minutes, one every five seconds."""
MOMENTS_KEPT = 100
NOTHING = 0
"""The number of no sound."""


@dataclass(slots=True, kw_only=True, eq=False)
class LiveCall:
    """Nothing in here decides anything, and nothing in here is lost with the process; all that counts is in `call`."""

    call: Call
    stand_in: StandIn | None = None
    """In the place of the Matrix side, in a test call of this process."""
    media_lane: Lane = field(default_factory=Lane)
    matrix_lane: Lane = field(default_factory=Lane)
    portal_lane: Lane = field(default_factory=Lane)
    """Apart from the Matrix lane: a room that takes long to make must not hold up an answer."""
    ring_lanes: dict[MatrixCallId, Lane] = field(default_factory=dict)
    """One for each member of a group that is rung: a room in trouble must not keep the others' devices from ringing."""
    verification: str = ""
    """What networks said of the phone's number, for the record."""
    session: MediaSession | None = None
    playing: int = NOTHING
    """The number of the newest sound of ours: the end of another says nothing any more."""
    played: int = NOTHING
    """The number of the newest one that has ended: on a late event loop that is told before its number is known."""
    stats: MediaStats = field(default_factory=MediaStats)
    timer: asyncio.TimerHandle | None = None
    metered_since: float | None = None
    """When the call began to cost something, on the call's clock; kept by the meter, like the two below."""
    metered_number: str = ""
    meter_timer: asyncio.TimerHandle | None = None
    cost: int | None = None
    """Millionths, when the call is over; `None` for one that no limit and no price concerns."""
    dialogs: set[DialogKey] = field(default_factory=set)
    matrix_calls: set[tuple[RoomId, MatrixCallId]] = field(default_factory=set)
    rooms: set[RoomId] = field(default_factory=set)
    users: set[UserId] = field(default_factory=set)
    attended: set[TrunkName] = field(default_factory=set)
    waits_for: frozenset[TrunkName | UserId] = frozenset()
    """Names under which the directory finds and counts this call; kept by the directory."""
    remembered: bool = False
    """Whether the call has been written down and must be forgotten again."""
    recorded: bool = False
    """Whether another process has written its record, and died before the call was forgotten."""
    snapshot_due: bool = False
    written: int = 0
    """A hash of what was written down last."""
    sound: deque[Interval] = field(default_factory=lambda: deque(maxlen=INTERVALS_KEPT))
    """How it has sounded lately, kept by the tracing like the three below."""
    sample: Sample | None = None
    """The counters of the audio when they were read last."""
    spoken: str = ""
    """The codecs of both sides, in words."""
    moments: deque[Moment] = field(default_factory=lambda: deque(maxlen=MOMENTS_KEPT))
    """When its state changed, kept by the tracing where spans are sent."""
    told_names: set[str] = field(default_factory=set)
    inviting: set[str] = field(default_factory=set)
    """The transaction ids of our invites while the homeserver has not got them."""
    sent: int = 0
    """Events sent to Matrix so far: the last part of their transaction ids."""

    def next_txn_id(self, kind: str) -> str:
        """Unique over all ghosts and calls: the homeserver compares transaction ids without regard to the ghost."""
        self.sent += 1
        return f"{self.call.call_id}.m.{kind}.{self.sent}"

    def invite_txn_id(self, matrix_call_id: str) -> str:
        """The same in every process, so that the next one can withdraw what this one has not got rid of."""
        return f"{self.call.call_id}.m.invite.{_digest(matrix_call_id)}"

    def farewell_txn_id(self, matrix_call_id: str) -> str:
        """The same in every process, so that a crash in the middle of a farewell does not make it two."""
        return f"{self.call.call_id}.m.end.{_digest(matrix_call_id)}"

    async def drain(self) -> None:
        """Wait until every operation of the call is done."""
        for lane in (self.portal_lane, self.media_lane, self.matrix_lane):
            await lane.drain()
        await self.drain_rings()

    def ring_lane(self, matrix_call_id: MatrixCallId) -> Lane:
        """The queue of one member's ring."""
        return self.ring_lanes.setdefault(matrix_call_id, Lane())

    async def drain_rings(self) -> None:
        """Wait until every member has been told what there was to tell."""
        for lane in list(self.ring_lanes.values()):
            await lane.drain()


def _digest(matrix_call_id: str) -> str:
    """Their ids may hold whatever a client likes."""
    return hashlib.sha256(matrix_call_id.encode(errors="surrogatepass")).hexdigest()[:16]
