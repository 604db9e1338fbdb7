"""The clock of a call: how long each step of it may take, and when it has come to each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimes:
    """Limits of a call, from the configuration. Seconds."""

    ring_s: float = 90.0
    progress_s: float = 4.0
    """180 at the latest; some trunks give up after 5 s without one."""
    glare_s: float = 3.0
    expiry_slack_s: float = 0.5
    """A Matrix invite is given up this long before it runs out: our reject must meet a client that still listens."""
    connect_s: float = 30.0
    """Audio must be up this long after the answer, and the answer written this long after it was asked for; the media
    session gives up earlier, this is the safety net."""
    decline_status: int = 603
    former_s: float = 2.0
    """A phone that was replaced hangs up by itself, or is hung up on after so long."""


@dataclass(slots=True, kw_only=True)
class Milestones:
    """When things happened, on the monotonic clock that events come with (seconds)."""

    invited: float
    dialled: float | None = None
    """When the trunk was asked; the last of them, if several were."""
    ringing: float | None = None
    early: float | None = None
    """When the caller's client was answered, so that its user hears what is played before the phone is."""
    attended: float | None = None
    """When the bridge answered the phone itself, for a message or a menu."""
    answered: float | None = None
    connected: float | None = None
    ended: float | None = None
