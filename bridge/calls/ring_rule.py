"""Whether a user's presence lets a call ring, as the user wants it."""

import enum

from bridge.core.presence import PresenceState


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
