"""The section `announcements` of the configuration: what users hear whose calls are refused, or ended by a limit."""

from collections.abc import Mapping

from pydantic import Field

from bridge.config.kinds import Flag, Language, Line, OptionalPath
from bridge.config.section import Section
from bridge.numbers.sentences import ENGLISH, Spoken

LONGEST_S = 15.0
"""Of a recording: nobody listens for longer to why there is no call."""


class AnnouncementsConfig(Section):
    """`announcements`."""

    spoken: Flag = True
    texts: Mapping[Spoken, Line] = Field(default_factory=dict)
    language: Language = ENGLISH
    """Of these texts."""
    recordings: Mapping[Spoken, OptionalPath] = Field(default_factory=dict)
