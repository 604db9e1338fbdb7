"""What phones hear before they leave a message: a user's own recording, everybody's, or a spoken text."""

import asyncio
from collections.abc import Mapping

import structlog

from bridge.app.speech import SpeechError, recording_of, speak
from bridge.config.voicemail import VoicemailConfig
from bridge.core.ids import UserId
from bridge.media.sounds import Sound, pause

log = structlog.get_logger(__name__)

BEFORE_BEEP_S = 0.5


class Greetings:
    """All of them, ready to be played."""

    def __init__(self, default: Sound, own: Mapping[UserId, Sound]) -> None:
        self._default = default
        self._own = own

    @property
    def longest_s(self) -> float:
        """The length of the longest."""
        return max(sound.duration_ms for sound in (self._default, *self._own.values())) / 1000

    def of(self, user: UserId) -> Sound:
        """What phones that call this user hear."""
        return self._own.get(user, self._default)

    @classmethod
    async def load(cls, settings: VoicemailConfig) -> "Greetings":
        """Read and prepare them. Where nothing can be spoken there is only the beep; `check-config` says so before.

        Raises :class:`bridge.media.sounds.SoundError` for a recording that cannot be played.
        """
        if not settings.users:
            return cls(pause(BEFORE_BEEP_S), {})
        own = {UserId(user): await recording_of(path) for user, path in settings.greetings.items() if path is not None}
        if settings.greeting is not None:
            return cls(await recording_of(settings.greeting), own)
        try:
            default = await speak(settings.greeting_text, language=settings.language)
            await asyncio.to_thread(default.prepare)
        except SpeechError as error:
            log.warning("greeting_not_spoken", detail=str(error))
            default = pause(BEFORE_BEEP_S)
        return cls(default, own)
