"""What a new configuration has otherwise than the one in force, and which of it may be taken over while calls go on."""

from dataclasses import dataclass, field
from typing import TypeVar

from bridge.config.check import findings
from bridge.config.document import dotted
from bridge.config.faults import ConfigError, Fault
from bridge.config.model import Config
from bridge.config.section import Section

S = TypeVar("S", bound=Section)

_NUMBERS = ("default_region", "regions", "inbound", "dial_plan", "caller_ids", "blocked", "time_zone", "emergency")
_CALLS = ("ring_timeout_s", "ring_when", "decline_status", "call_waiting", "drain_timeout_s")
LIVE = frozenset(
    {
        *("trunks", "permissions", "voicemail", "groups", "menus", "announcements", "logging.level"),
        *(f"numbers.{name}" for name in _NUMBERS),
        *(f"calls.{name}" for name in _CALLS),
    }
)
"""Settings that need no restart, and sections of which that is true as a whole.

Certificates and the address book are read again whenever their files change.
"""


@dataclass(slots=True, kw_only=True)
class Takeover:
    """What comes of a new configuration."""

    config: Config
    """The old one with all that needs no restart of the new one."""
    waiting: list[str] = field(default_factory=list)
    """Dotted paths of what differs and does: `media.ports`."""


def take_over(running: Config, read: Config) -> Takeover:
    """Take over what needs no restart, all at once or nothing.

    Raises `ConfigError` where that makes no sense without a restart: a trunk with a transport of which there is no
    listener yet.
    """
    waiting: list[str] = []
    config = _merged(running, read, (), waiting)
    faults = [Fault(path=dotted(place), message=f"{why}: restart first") for place, why in findings(config)]
    if faults:
        raise ConfigError(faults)
    return Takeover(config=config, waiting=waiting)


def _merged(running: S, read: S, place: tuple[str, ...], waiting: list[str]) -> S:
    taken: dict[str, object] = {}
    for name in type(running).model_fields:
        old, new, here = getattr(running, name), getattr(read, name), (*place, name)
        if _is_live(here):
            taken[name] = new
        elif isinstance(old, Section) and isinstance(new, type(old)):
            taken[name] = _merged(old, new, here, waiting)
        elif old != new:
            waiting.append(dotted(here))
    return running.model_copy(update=taken)


def _is_live(place: tuple[str, ...]) -> bool:
    return ".".join(place) in LIVE
