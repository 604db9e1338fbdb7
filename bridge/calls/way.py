"""Where a call can go."""

from dataclasses import dataclass

from bridge.core.ids import TrunkName


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A trunk over which a call can leave, and how."""

    trunk: TrunkName
    number: str
    caller: str
    withheld: bool = False
    answers_early: bool = False
