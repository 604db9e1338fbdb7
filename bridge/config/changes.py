"""What a new configuration has otherwise than the one in force, and which of it may be taken over while calls go on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from bridge.config.check import findings
from bridge.config.document import dotted
from bridge.config.faults import ConfigError, Fault
from bridge.config.model import Config
from bridge.config.section import Section

S = TypeVar("S", bound=Section)

_OF_TRUNKS = (
    *("caller_id", "caller_ids", "rates", "rate_step_s", "text_price", "emergency", "join_crossing_calls"),
    *(
        "early_media",
        "forwards",
        "voicemail_number",
        "max_calls",
        "max_attended",
        "max_calls_per_s",
        "max_incoming_per_s",
    ),
)
LIVE = frozenset(
    {
        *(f"trunks.*.{name}" for name in _OF_TRUNKS),
        *(f"numbers.{name}" for name in ("inbound", "dial_plan", "caller_ids", "blocked", "time_zone")),
        *("permissions", "voicemail", "groups", "menus", "announcements", "logging.level"),
        *(f"calls.{name}" for name in ("ring_timeout_s", "ring_when", "decline_status", "call_waiting")),
        "calls.drain_timeout_s",
    }
)
"""Settings that need no restart, and sections of which that is true as a whole. `*` is a name of the admin's own.

Certificates and the address book are read again whenever their files change.
"""


@dataclass(slots=True, kw_only=True)
class Takeover:
    """What comes of a new configuration."""

    config: Config
    """The old one with all that needs no restart of the new one."""
    waiting: list[str] = field(default_factory=list)
    """Dotted paths of what differs and does: `media.ports`, `trunks.carrier.server`."""


def take_over(running: Config, read: Config) -> Takeover:
    """Take over what needs no restart, all at once or nothing.

    Raises `ConfigError` where that makes no sense without a restart: a dial plan that names a trunk which is not there
    before.
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
        elif _are_named(old) and _are_named(new):
            taken[name] = dict(_merged_by_name(old, new, here, waiting))
        elif old != new:
            waiting.append(dotted(here))
    return running.model_copy(update=taken)


def _merged_by_name(
    running: Mapping[str, Section], read: Mapping[str, Section], place: tuple[str, ...], waiting: list[str]
) -> Iterator[tuple[str, Section]]:
    """In the order of the new file, which means something; what was taken out of it works on until the restart."""
    waiting.extend(dotted((*place, name)) for name in running.keys() ^ read.keys())
    for name in [*read, *(name for name in running if name not in read)]:
        if name in running:
            new = read.get(name, running[name])
            yield name, _merged(running[name], new, (*place, name), waiting)


def _are_named(value: object) -> bool:
    """Whether this is a group of sections under names that an admin has given them."""
    return isinstance(value, Mapping) and all(isinstance(entry, Section) for entry in value.values())


def _is_live(place: tuple[str, ...]) -> bool:
    """Below a trunk's name any name fits."""
    known = (place[0], "*", *place[2:]) if place[0] == "trunks" and len(place) > 1 else place
    return ".".join(known) in LIVE
