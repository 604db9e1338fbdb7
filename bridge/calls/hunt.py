"""Who is rung for a phone's call where that is more than one user: plain values, and what each of them must be told.

One ring is a Matrix call of its own, in the room that its member shares with the caller's ghost. All rings carry the
same offer, as those of one user's devices do; the first answer takes the call.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.calls import commands as cmd
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import outcomes
from bridge.calls.hunt_plan import HuntPlan
from bridge.core.ids import MatrixCallId, RoomId, UserId
from bridge.core.presence import RingWhen
from bridge.core.verdict import MatrixReason, Verdict


class Step(enum.StrEnum):
    """How far a ring has come."""

    ASKED = "asked"
    """Whether the member wants the call is being found out."""
    LOCATING = "locating"
    JOINING = "joining"
    """The member has been invited to the room and rings as soon as they join."""
    READY = "ready"
    """There is a room, and no offer yet."""
    RINGING = "ringing"
    REPLACED = "replaced"
    """The member's client gave up our invite for a call of its own, which has not arrived yet (see `glare`)."""
    OVER = "over"


_CONCERNED = frozenset((Step.LOCATING, Step.JOINING, Step.READY, Step.RINGING, Step.REPLACED))


@dataclass(slots=True, kw_only=True)
class Ring:
    """One member's part of the hunt."""

    user: UserId
    matrix_call_id: MatrixCallId
    step: Step = Step.ASKED
    ring_when: RingWhen = RingWhen.ALWAYS
    room_id: RoomId | None = None
    ghost: UserId | None = None
    delivered: bool = False
    """Whether the homeserver has our invite."""
    why: Verdict | None = None
    """How it ended; `None` for one that goes on, or that took the call."""

    @property
    def alive(self) -> bool:
        return self.step is not Step.OVER

    @property
    def concerned(self) -> bool:
        """Whether the call is one of this user's, as far as anybody else can see."""
        return self.step in _CONCERNED

    @property
    def matrix_call(self) -> mxcmd.OtherMatrixCall | None:
        """Where and as whom its events are sent; `None` while there is no room."""
        if self.room_id is None or self.ghost is None:
            return None
        return mxcmd.OtherMatrixCall(call_id=self.matrix_call_id, room_id=self.room_id, ghost=self.ghost, version=1)

    def end(self, why: Verdict, *, told: bool = False) -> Iterator[cmd.Command]:
        """End it once. `told` are those who ended it themselves, or can be told nothing."""
        step, self.step, self.why = self.step, Step.OVER, why
        other = self.matrix_call
        if other is None or told:
            return
        if step is Step.RINGING:
            yield mxcmd.SendHangup(reason=why.matrix_reason or MatrixReason.USER_HANGUP, other=other)
        if step is Step.JOINING or (step is Step.RINGING and not self.delivered):
            # No device can show that there was a call.
            if why.reason in outcomes.MISSED:
                yield mxcmd.SendNotice(text=outcomes.MISSED_CALL, other=other)
        elif step is Step.RINGING and why.user_text:
            yield mxcmd.SendNotice(text=why.user_text, other=other)


@dataclass(slots=True, kw_only=True)
class Hunt:
    """The rings of a call, those that are over included: they tell in the end how it was."""

    plan: HuntPlan
    group: str = ""
    """The one that was called, whoever was rung after it."""
    begun: int = 0
    """How many members of the plan have been rung."""
    rings: list[Ring] = field(default_factory=list)
    offer_asked: bool = False

    @property
    def alive(self) -> list[Ring]:
        return [ring for ring in self.rings if ring.alive]

    @property
    def exhausted(self) -> bool:
        """Whether nobody rings, and nobody is left to ring."""
        return self.begun >= len(self.plan.members) and not self.alive

    def ring_of(self, matrix_call_id: MatrixCallId) -> Ring | None:
        """The ring with a Matrix call, unless it is over."""
        return next((ring for ring in self.alive if ring.matrix_call_id == matrix_call_id), None)

    def ring_of_user(self, user: UserId) -> Ring | None:
        return next((ring for ring in self.alive if ring.user == user), None)

    def follow(self, plan: HuntPlan) -> None:
        """Nobody has taken the call by the last plan."""
        self.plan, self.begun = plan, 0

    def begin_next(self) -> list[Ring]:
        """Those who ring now: the next member, or all of them."""
        last = self.begun + 1 if self.plan.in_turn else len(self.plan.members)
        members, self.begun = self.plan.members[self.begun : last], last
        rings = [Ring(user=member.user, matrix_call_id=member.matrix_call_id) for member in members]
        self.rings += rings
        return rings

    def end_all(self, why: Verdict, *, but: Ring | None = None) -> list[cmd.Command]:
        """End all rings but one."""
        return [command for ring in self.alive if ring is not but for command in ring.end(why)]

    def outcome(self) -> Verdict:
        """Why nobody has taken the call, as far as it can be said in one word: what came closest to an answer."""
        whys = [ring.why for ring in self.rings if ring.why is not None]
        return min(whys, key=_rank, default=outcomes.NO_ANSWER)


_RANKS = ("no_answer", "busy", "do_not_disturb", "not_there", "out_of_hours", "room_left")
_LAST = ("declined", "anonymous", "blocked")
"""A final "no" (6xx) ends the search of a proxy (RFC 3261 §16.7), so it is said only if everybody says so."""


def _rank(verdict: Verdict) -> int:
    if verdict.reason in _LAST:
        return 100 + _LAST.index(verdict.reason)
    return _RANKS.index(verdict.reason) if verdict.reason in _RANKS else len(_RANKS)
