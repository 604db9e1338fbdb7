"""What a configuration has to say: greetings, announcements and menus, each a recording or a text to be spoken."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.calls.menu import Prompt
from bridge.config import Config
from bridge.config.announcements import LONGEST_S as LONGEST_ANNOUNCEMENT_S
from bridge.config.document import Location
from bridge.config.sentences import recording
from bridge.config.voicemail import VoicemailConfig
from bridge.media.settings import PathChoice
from bridge.media.sounds import LONGEST_S
from bridge.numbers.sentences import EMERGENCY, ENGLISH, SENTENCES, Spoken, language_of

Name = tuple[str, ...]
"""By which a sound is found again: its kind, then whose it is."""
Words = tuple[tuple[str, str], ...]
"""Texts and their languages, said one after the other."""

GREETING, ANNOUNCEMENT, PROMPT = "greeting", "announcement", "prompt"
ANY = ""
"""An announcement that is the same in every language."""
_PROMPTS = {Prompt.CHOICES: "prompt", Prompt.INVALID: "invalid", Prompt.NOBODY: "nobody"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is spoken, and how: two of these that are alike sound alike."""

    words: Words
    framed: bool = False
    """With silence around it, for a client that was answered just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One sound, and the setting to name when it cannot be made."""

    name: Name
    setting: Location
    script: Script
    recording: Path | None = None
    """In the place of the words."""
    longest_s: float = LONGEST_S
    """Of the recording."""


def sayings(config: Config) -> Iterator[Saying]:
    """All of them."""
    yield from _greetings(config.voicemail)
    yield from _announcements(config)
    yield from _prompts(config)


def _greetings(box: VoicemailConfig) -> Iterator[Saying]:
    if not box.users:
        return
    words = Script(words=((box.greeting_text, box.language),))
    default = "greeting_text" if box.greeting is None else "greeting"
    yield Saying(name=(GREETING,), setting=("voicemail", default), script=words, recording=box.greeting)
    for user, sentence in box.greetings.items():
        yield Saying(
            name=(GREETING, user),
            setting=("voicemail", "greetings", user),
            script=Script(words=((sentence, box.language),)),
            recording=recording(sentence),
        )


def _announcements(config: Config) -> Iterator[Saying]:
    """An rtpengine server can play none that is long enough."""
    settings = config.announcements
    if not settings.spoken or config.media.engine is PathChoice.RTPENGINE:
        return
    for what in Spoken:
        path = settings.recordings.get(what)
        for language, words in _announced(config, what):
            yield Saying(
                name=(ANNOUNCEMENT, what.value, language),
                setting=("announcements", "texts" if path is None else "recordings", what.value),
                script=Script(words=words, framed=True),
                recording=path,
                longest_s=LONGEST_ANNOUNCEMENT_S,
            )


def _announced(config: Config, what: Spoken) -> Iterator[tuple[str, Words]]:
    """Own words are said to everybody. How those who call for help are told that they cannot depends on the country."""
    settings = config.announcements
    if what in settings.texts:
        yield ANY, ((settings.texts[what], settings.language),)
    elif what in SENTENCES or settings.recordings.get(what) is not None:
        yield ANY, ((SENTENCES.get(what, EMERGENCY[ENGLISH]), ENGLISH),)
    else:
        regions = (config.numbers.default_region, *config.numbers.regions.values())
        for language in sorted({language_of(region) for region in regions}):
            # Whoever calls for help may be a stranger there; who needs no English hears it twice.
            yield language, ((EMERGENCY[language], language), (EMERGENCY[ENGLISH], ENGLISH))


def _prompts(config: Config) -> Iterator[Saying]:
    for name, menu in config.menus.items():
        for prompt, setting in _PROMPTS.items():
            sentence = menu.sentences[setting]
            yield Saying(
                name=(PROMPT, name, prompt.value),
                setting=("menus", name, setting),
                script=Script(words=((sentence, menu.language),)),
                recording=recording(sentence),
            )
