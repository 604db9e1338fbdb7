"""Whom a phone's call is to ring, and what becomes of it when none of them takes it: plain values."""

from dataclasses import dataclass

from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.core.ids import MatrixCallId, UserId
from bridge.core.verdict import Verdict

MAX_MEMBERS = 30
"""Of one group: each costs a room, and an invite with a whole offer in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user to ring, and the id that the Matrix call will have."""

    user: UserId
    matrix_call_id: MatrixCallId


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOf:
    """The message box of a user, who is not rung any more."""

    user: UserId
    box: MessageBox
    always: bool = False
    """Whether it takes a message whatever the reason; otherwise those reasons count that its user has."""

    def takes(self, why: Verdict) -> bool:
        return self.always or why.reason in self.box.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntPlan:
    """Whom to ring, and what becomes of the call when none of them takes it."""

    members: tuple[Member, ...]
    """At least one."""
    in_turn: bool = False
    each_s: float
    """How long a member rings before the next one does, or before all of them have not answered."""
    group: str = ""
    """Empty for a single person."""
    otherwise: "HuntPlan | BoxOf | MenuPlan | None" = None

    @property
    def menu(self) -> MenuPlan | None:
        """Where the call goes when nobody takes it, be it after further groups."""
        match self.otherwise:
            case MenuPlan() as menu:
                return menu
            case HuntPlan() as plan:
                return plan.menu
            case _:
                return None
