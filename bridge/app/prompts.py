"""What spoken menus say, and the tones of a phone that waits: made once, at start, and ready to be played."""

import asyncio
from collections.abc import Mapping

import structlog

from bridge.app.speech import SpeechError, recording_of, speak
from bridge.calls.menu import Prompt
from bridge.config import Config
from bridge.config.menus import MenuConfig, recording
from bridge.core.ids import TrunkName
from bridge.media.sounds import Sound, pause
from bridge.media.tone_plan import tone_plan

log = structlog.get_logger(__name__)

UNSPOKEN_S = 0.5
"""What is heard in the place of a text that cannot be spoken."""
_SETTINGS = {Prompt.CHOICES: "prompt", Prompt.INVALID: "invalid", Prompt.NOBODY: "nobody"}


class Prompts:
    """All of them."""

    def __init__(self, said: Mapping[tuple[str, Prompt], Sound], regions: Mapping[TrunkName, str]) -> None:
        self._said = said
        self._regions = regions

    def prompt(self, menu: str, prompt: Prompt) -> Sound:
        """A sentence of a menu; a moment of silence for one that is not known."""
        return self._said.get((menu, prompt)) or pause(UNSPOKEN_S)

    def ringback(self, trunk: TrunkName) -> Sound:
        """What phones of a trunk hear when it rings, by the country that it is in."""
        return tone_plan(self._regions.get(trunk, "")).ringback.sound

    @classmethod
    async def load(cls, config: Config) -> "Prompts":
        """Read and prepare them. Where nothing can be spoken there is silence; `check-config` says so before.

        Raises :class:`bridge.media.sounds.SoundError` for a recording that cannot be played.
        """
        default = config.numbers.default_region
        regions = {name: trunk.region or default for name, trunk in config.trunks.items()}
        for region in set(regions.values()) if config.menus else ():
            await asyncio.to_thread(_make_ringback, region)
        spoken: dict[tuple[str, str], Sound] = {}
        said: dict[tuple[str, Prompt], Sound] = {}
        for name, menu in config.menus.items():
            for prompt, setting in _SETTINGS.items():
                words = (menu.sentences[setting], menu.language)
                if words not in spoken:
                    spoken[words] = await _made(name, setting, menu)
                said[name, prompt] = spoken[words]
        return cls(said, regions)


def _make_ringback(region: str) -> None:
    tone_plan(region).ringback.sound.prepare()


async def _made(name: str, setting: str, menu: MenuConfig) -> Sound:
    sentence = menu.sentences[setting]
    path = recording(sentence)
    if path is not None:
        return await recording_of(path)
    try:
        sound = await speak(sentence, language=menu.language)
    except SpeechError as error:
        log.warning("prompt_not_spoken", menu=name, setting=setting, detail=str(error))
        return pause(UNSPOKEN_S)
    await asyncio.to_thread(sound.prepare)
    return sound
