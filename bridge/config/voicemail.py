"""The section `voicemail` of the configuration: messages that phones leave."""

import enum
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from bridge.config.document import Location, dotted
from bridge.config.kinds import Language, Line, LocalUser, OptionalPath, Who
from bridge.config.section import Section
from bridge.config.sentences import Sentence, recording, unplayable
from bridge.core.ids import UserId
from bridge.numbers.permission import belongs

DEFAULT_GREETING = "The person you are calling cannot take your call now. Please leave a message after the tone."


class Unanswered(enum.StrEnum):
    """Why nobody takes a call."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    DO_NOT_DISTURB = "do_not_disturb"
    OUT_OF_HOURS = "out_of_hours"
    NOT_THERE = "not_there"
    """By `calls.ring_when`."""
    HOMESERVER = "homeserver"
    """It is away, or would not have the call."""


def _given(greetings: object) -> object:
    """Without those that are nothing: their users have the greeting of all."""
    if not isinstance(greetings, dict):
        return greetings
    return {user: sentence for user, sentence in greetings.items() if sentence not in (None, "")}


class VoicemailConfig(Section):
    """`voicemail`."""

    users: tuple[Who, ...] = ()
    after_s: Annotated[float, Field(strict=True, ge=5, le=120, allow_inf_nan=False)] = 25.0
    longest_s: Annotated[float, Field(strict=True, ge=5, le=600, allow_inf_nan=False)] = 180.0
    when: tuple[Unanswered, ...] = tuple(Unanswered)
    greeting: OptionalPath = None
    greeting_text: Line = DEFAULT_GREETING
    language: Language = "en"
    greetings: Annotated[Mapping[LocalUser, Sentence], BeforeValidator(_given)] = Field(default_factory=dict)


def unplayable_greetings(box: VoicemailConfig) -> Iterator[tuple[Location, str]]:
    """Recordings that cannot be played."""
    yield from unplayable(("voicemail", "greeting"), box.greeting)
    for user, sentence in box.greetings.items():
        yield from unplayable(("voicemail", "greetings", user), recording(sentence))


def spoken_greetings(box: VoicemailConfig) -> list[str]:
    """The settings of users' own greetings whose text needs a program that can speak."""
    texts = [user for user, sentence in box.greetings.items() if recording(sentence) is None]
    return [dotted(("voicemail", "greetings", user)) for user in texts if belongs(UserId(user), box.users)]


def greetings_of_nobody(box: VoicemailConfig) -> Iterator[str]:
    """Greetings of users who have no message box."""
    for user in box.greetings:
        if not belongs(UserId(user), box.users):
            setting = dotted(("voicemail", "greetings", user))
            yield f"{setting}: is never heard, for {user} is not one of voicemail.users"
