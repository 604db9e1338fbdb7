"""Whether somebody is there: Matrix users for phones, and phones for Matrix users."""

import enum
from dataclasses import dataclass

IDLE_S = 600.0
"""Somebody who is called online but has done nothing for this long is not: some clients never say that they idle."""


class PresenceState(enum.StrEnum):
    """The states of `m.presence` (specification, "Presence")."""

    ONLINE = "online"
    UNAVAILABLE = "unavailable"
    """Idle: there, as far as is known, but not looking."""
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What was last said of somebody."""

    state: PresenceState
    active_at: float | None = None
    """Monotonic seconds of the last thing that they did; `None` while they are at it, or when nobody said."""

    def state_at(self, now: float) -> PresenceState:
        """The state, grown old."""
        idle = self.active_at is not None and now - self.active_at > IDLE_S
        return PresenceState.UNAVAILABLE if idle and self.state is PresenceState.ONLINE else self.state


class RingWhen(enum.StrEnum):
    """When a user is rung; otherwise the phone is told at once, so that its PBX can take a message."""

    ALWAYS = "always"
    NOT_OFFLINE = "not_offline"
    """Also when idle: at a screen that is not looked at."""
    ONLINE = "online"


def rings(rule: RingWhen, state: PresenceState | None) -> bool:
    """A user of whom nothing is known is rung: a call too many is better than one that nobody heard of."""
    match rule:
        case RingWhen.ALWAYS:
            return True
        case RingWhen.NOT_OFFLINE:
            return state is not PresenceState.OFFLINE
        case RingWhen.ONLINE:
            return state in (PresenceState.ONLINE, None)
