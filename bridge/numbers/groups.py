"""Several people behind one number."""

import enum
from dataclasses import dataclass

from bridge.core.ids import UserId
from bridge.numbers.reach import Target


class RingOrder(enum.StrEnum):
    """How the members of a group are rung."""

    TOGETHER = "together"
    IN_TURN = "in_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Its members in their order, and what becomes of a call that none of them takes."""

    members: tuple[UserId, ...]
    ring: RingOrder = RingOrder.TOGETHER
    each_s: float = 20.0
    """In turn, how long each rings; together, how long all do before `otherwise` is reached."""
    otherwise: Target | None = None
