"""What users hear whose calls are refused, or ended by a limit: recordings, or texts made speech at the start."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.app.speech import SpeechError, speak
from bridge.config import Config
from bridge.config.announcements import LONGEST_S, AnnouncementsConfig
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.verdict import Verdict
from bridge.media.settings import PathChoice
from bridge.media.sounds import Sound, pause, read_wav
from bridge.media.speech_program import can_speak
from bridge.media.verdicts import unavailable
from bridge.numbers.policy import Decision, NumberPlan
from bridge.numbers.sentences import EMERGENCY, ENGLISH, SENTENCES, Spoken, language_of

log = structlog.get_logger(__name__)

BEFORE_S, AFTER_S = 0.6, 0.4
"""A client that was answered just now takes a moment to be heard, and what it has yet to play must not be cut off."""
MOST_AT_ONCE, ONE_MORE_S = 5, 10.0
"""Each costs a media session: who dials again and again only reads the reason in the end."""

ANY = ""
"""A sentence that is the same in every language."""

Key = tuple[str, str]
"""What is said, and in which language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What is to be made speech."""

    key: Key
    words: tuple[tuple[str, str], ...]
    """Texts and their languages, one after the other."""


class Announcements:
    """All of them, ready to be played; none where nothing can be spoken."""

    def __init__(self, sounds: Mapping[Key, Sound], language_of_user: Callable[[UserId], str], clock: Clock) -> None:
        self._sounds = sounds
        self._language_of = language_of_user
        self._clock = clock
        self._budgets = Budgets(burst=MOST_AT_ONCE, refill_s=ONE_MORE_S)

    def for_call(self, user: UserId, decision: Decision | Verdict) -> frozenset[str]:
        """The reasons that can be said to the user of a call of which this was decided."""
        reasons = frozenset(reason for reason, _ in self._sounds if self._sound(reason, user) is not None)
        if not isinstance(decision, Verdict) or decision.reason not in reasons:
            return reasons
        is_due = self._budgets.spend(f"{user} {decision.reason}", self._clock.monotonic())
        return reasons if is_due else frozenset()

    def sound(self, reason: str, user: UserId) -> Sound:
        """What is played for a reason. Raises :class:`bridge.media.engine.MediaError` if there is nothing."""
        sound = self._sound(reason, user)
        if sound is None:
            raise unavailable("there is no such announcement")
        return sound

    def _sound(self, reason: str, user: UserId) -> Sound | None:
        return self._sounds.get((reason, ANY)) or self._sounds.get((reason, self._language_of(user)))

    @classmethod
    async def load(cls, config: Config, plan: Callable[[], NumberPlan], clock: Clock) -> "Announcements":
        """Read and prepare them; an rtpengine server can play none that is long enough.

        Raises :class:`bridge.media.sounds.SoundError` for a recording that cannot be played.
        """
        settings, sounds = config.announcements, dict[Key, Sound]()
        if settings.spoken and config.media.engine is not PathChoice.RTPENGINE:
            sounds = await asyncio.to_thread(_recorded, settings.recordings)
            if can_speak():
                wanted = [sentence for sentence in _sentences(settings, plan()) if (sentence.key[0], ANY) not in sounds]
                made = await asyncio.gather(*map(_spoken, wanted))
                sounds |= {sentence.key: sound for sentence, sound in zip(wanted, made, strict=True) if sound}
        return cls(sounds, lambda user: language_of(plan().region_of(user)), clock)


def _recorded(paths: Mapping[Spoken, Path | None]) -> dict[Key, Sound]:
    wanted = {what: path for what, path in paths.items() if path is not None}
    return {(what.value, ANY): _framed(read_wav(path, longest_s=LONGEST_S)) for what, path in wanted.items()}


def _sentences(settings: AnnouncementsConfig, plan: NumberPlan) -> Iterator[Sentence]:
    """What is said in every language, and how those who call for help are told that they cannot."""
    texts = {what: (text, settings.language) for what, text in settings.texts.items()}
    english = {what: (text, ENGLISH) for what, text in SENTENCES.items()}
    for what, said in (english | texts).items():
        yield Sentence(key=(what.value, ANY), words=(said,))
    for language in {language_of(region) for region in (plan.default_region, *plan.regions.values())}:
        if Spoken.EMERGENCY_REFUSED not in texts:
            # Whoever calls for help may be a stranger there; who needs no English hears it twice.
            words = ((EMERGENCY[language], language), (EMERGENCY[ENGLISH], ENGLISH))
            yield Sentence(key=(Spoken.EMERGENCY_REFUSED.value, language), words=words)


async def _spoken(sentence: Sentence) -> Sound | None:
    """`None` where it cannot be spoken: in a language that the program does not know."""
    try:
        parts = [await speak(text, language=language) for text, language in sentence.words]
    except SpeechError as error:
        log.warning("announcement_not_spoken", announcement=sentence.key[0], detail=str(error))
        return None
    return await asyncio.to_thread(_framed, *parts)


def _framed(*parts: Sound) -> Sound:
    """With silence around it, and coded."""
    sound = Sound(b"".join([pause(BEFORE_S).pcm, *(part.pcm for part in parts), pause(AFTER_S).pcm]))
    sound.prepare()
    return sound
