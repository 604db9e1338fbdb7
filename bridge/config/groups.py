"""The section `groups` of the configuration: several people behind one number."""

from typing import Annotated

from pydantic import Field

from bridge.calls.hunt_plan import MAX_MEMBERS
from bridge.config.kinds import LocalUser
from bridge.config.reached import OptionalTarget
from bridge.config.section import Section
from bridge.core.ids import UserId
from bridge.numbers.groups import Group, RingOrder


class GroupConfig(Section):
    """`groups.<name>`."""

    members: Annotated[tuple[LocalUser, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    ring: RingOrder = RingOrder.TOGETHER
    each_s: Annotated[float, Field(strict=True, ge=5, le=120, allow_inf_nan=False)] = 20.0
    otherwise: OptionalTarget = None

    @property
    def group(self) -> Group:
        """The same without the file."""
        return Group(
            members=tuple(map(UserId, self.members)), ring=self.ring, each_s=self.each_s, otherwise=self.otherwise
        )
