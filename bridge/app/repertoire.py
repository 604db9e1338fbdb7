"""Everything that the bridge says, made ready before anybody hears it: at the start, and before a new configuration."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from bridge.app.sayings import Name, Saying, Script, sayings
from bridge.app.speech import SpeechError, speak
from bridge.config import Config, ConfigError, Fault
from bridge.config.document import dotted
from bridge.media.sounds import Sound, SoundError, pause, read_wav
from bridge.media.speech_program import PROGRAM, can_speak
from bridge.media.tone_plan import ringback

log = structlog.get_logger(__name__)

BEFORE_S, AFTER_S = 0.6, 0.4
"""A client that was answered just now takes a moment to be heard, and what it has yet to play must not be cut off."""
AT_ONCE = 4
"""Texts that are spoken, and recordings that are coded, at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repertoire:
    """The sounds of one configuration."""

    edition: int = 0
    """Counts up, so that a caller in a menu goes on hearing the menu that he is in."""
    sounds: Mapping[Name, Sound] = field(default_factory=dict)
    spoken: Mapping[Script, Sound | None] = field(default_factory=dict)
    """`None` for what could not be spoken."""


async def rehearse(config: Config, before: Repertoire | None = None) -> Repertoire:
    """Read, speak and code all that a configuration says; texts that have not changed are not spoken again.

    Where nothing can be spoken there is silence, of which `check-config` warns. Raises `ConfigError` for a
    recording that cannot be played and, once there is something to stay with (`before`), for a new text that cannot be
    spoken.
    """
    wanted, first = list(sayings(config)), before is None
    old = before or Repertoire()
    booth = asyncio.Semaphore(AT_ONCE)
    texts = {saying.script for saying in wanted if saying.recording is None}
    spoken = dict(zip(texts, await asyncio.gather(*(_spoken(text, old, booth) for text in texts)), strict=True))
    made = await asyncio.gather(*(_made(saying, spoken, booth) for saying in wanted))
    outcomes = list(zip(wanted, made, strict=True))
    silent = [(saying, why) for saying, why in outcomes if isinstance(why, SoundError | SpeechError)]
    _judge(silent, unspoken=texts if first else {text for text, sound in old.spoken.items() if sound is None})
    await _prepare_ringback(config)
    return Repertoire(
        edition=old.edition + 1,
        sounds={saying.name: sound for saying, sound in outcomes if isinstance(sound, Sound)},
        spoken={text: sound if isinstance(sound, Sound) else None for text, sound in spoken.items()},
    )


def _judge(silent: Iterable[tuple[Saying, Exception]], *, unspoken: Iterable[Script]) -> None:
    """What could not be spoken before either is no reason to keep an old configuration; nor is a missing program."""
    excused, has_program, faults = frozenset(unspoken), can_speak(), list[Fault]()
    for saying, why in silent:
        setting = dotted(saying.setting)
        if saying.recording is not None:
            faults.append(Fault(path=setting, message=f"{saying.recording} {why}"))
        elif has_program and saying.script not in excused:
            faults.append(Fault(path=setting, message=f"cannot be spoken: {why}"))
        else:
            log.warning("text_not_spoken", setting=setting, detail=str(why))
    if faults:
        raise ConfigError(faults)


async def _made(
    saying: Saying, spoken: Mapping[Script, Sound | SpeechError], booth: asyncio.Semaphore
) -> Sound | SoundError | SpeechError:
    if saying.recording is None:
        return spoken[saying.script]
    try:
        async with booth:
            sound = await asyncio.to_thread(read_wav, saying.recording, longest_s=saying.longest_s)
            return await asyncio.to_thread(_ready, saying.script, [sound])
    except SoundError as error:
        return error


async def _spoken(text: Script, before: Repertoire, booth: asyncio.Semaphore) -> Sound | SpeechError:
    if (known := before.spoken.get(text)) is not None:
        return known
    if not can_speak():
        return SpeechError(f"{PROGRAM} is not installed")
    try:
        async with booth:
            parts = [await speak(words, language=language) for words, language in text.words]
            return await asyncio.to_thread(_ready, text, parts)
    except SpeechError as error:
        return error


def _ready(script: Script, parts: Iterable[Sound]) -> Sound:
    """In one piece, and coded."""
    pcm = b"".join(part.pcm for part in parts)
    sound = Sound(pause(BEFORE_S).pcm + pcm + pause(AFTER_S).pcm if script.framed else pcm)
    sound.prepare()
    return sound


async def _prepare_ringback(config: Config) -> None:
    """Of every country that a trunk is in, where phones in menus hear it."""
    regions = {trunk.region or config.numbers.default_region for trunk in config.trunks.values()}
    for region in regions if config.menus else ():
        await asyncio.to_thread(ringback(region).prepare)
