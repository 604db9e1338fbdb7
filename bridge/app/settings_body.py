"""All of a user's settings at once, as a program sends them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from bridge.app.user_settings import MAX_BLOCKED, Changes
from bridge.config import values
from bridge.config.kinds import Flag, Number, Text
from bridge.config.section import Section
from bridge.core.presence import RingWhen
from bridge.numbers.hours import parse_hours


def _hours(value: object) -> str:
    text = values.text(value)
    if text:
        parse_hours(text)
    return text


class SettingsBody(Section):
    """What is left out is as if the user had never said it."""

    do_not_disturb: Flag = False
    forward: Text = ""
    """Judged apart: where calls may go depends on the user's permissions."""
    ring_when: RingWhen | None = None
    withheld: bool | None = None
    hours: Annotated[str, BeforeValidator(_hours), Field(max_length=500)] = ""
    refuses_anonymous: Flag = False
    blocked: Annotated[tuple[Number, ...], Field(max_length=MAX_BLOCKED)] = ()

    def changes(self, forward: str) -> Changes:
        """Without the numbers that are blocked, which are kept apart."""
        return Changes(
            do_not_disturb=self.do_not_disturb,
            forward=forward,
            ring_when=self.ring_when,
            withheld=self.withheld,
            hours=self.hours,
            refuses_anonymous=self.refuses_anonymous,
        )
