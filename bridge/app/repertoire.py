"""Everything that the bridge says, made ready before anybody hears it: at the start, and before a new configuration."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
class Recording:
    """A file as it was when it was read; when it is written anew, it is another."""

    path: Path
    stamp: tuple[int, int] | None
    """Size and time of change; `None` for a file that is not there."""
    framed: bool
    longest_s: float


Source = Script | Recording
"""What sounds are made of: two that are alike sound alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repertoire:
    """The sounds of one configuration."""

    edition: int = 0
    """Counts up, so that a caller in a menu goes on hearing the menu that he is in."""
    sounds: Mapping[Name, Sound] = field(default_factory=dict)
    made: Mapping[Source, Sound | None] = field(default_factory=dict)
    """By what they were made of; `None` for a text that could not be spoken."""


async def rehearse(config: Config, before: Repertoire | None = None) -> Repertoire:
    """Read, speak and code all that a configuration says, each thing once, and nothing again that has not changed.

    Where nothing can be spoken there is silence, of which `check-config` warns. Raises `ConfigError` for a
    recording that cannot be played and, once there is something to stay with (`before`), for a new text that cannot be
    spoken.
    """
    wanted, old = await asyncio.to_thread(_sources, config), before or Repertoire()
    booth, sources = asyncio.Semaphore(AT_ONCE), list(dict.fromkeys(wanted.values()))
    outcomes = await asyncio.gather(*(_made(source, old, booth) for source in sources))
    made = dict(zip(sources, outcomes, strict=True))
    _judge(wanted, made, excused=None if before is None else before.made)
    await _prepare_ringback(config)
    sounds = {source: sound if isinstance(sound, Sound) else None for source, sound in made.items()}
    return Repertoire(
        edition=old.edition + 1,
        sounds={saying.name: sound for saying, source in wanted.items() if (sound := sounds[source]) is not None},
        made=sounds,
    )


def _sources(config: Config) -> dict[Saying, Source]:
    return {saying: _source(saying) for saying in sayings(config)}


def _source(saying: Saying) -> Source:
    path = saying.recording
    if path is None:
        return saying.script
    try:
        found = path.stat()
    except OSError:
        stamp = None
    else:
        stamp = (found.st_size, found.st_mtime_ns)
    return Recording(path=path, stamp=stamp, framed=saying.script.framed, longest_s=saying.longest_s)


def _judge(
    wanted: Mapping[Saying, Source],
    made: Mapping[Source, Sound | SoundError | SpeechError],
    *,
    excused: Mapping[Source, Sound | None] | None,
) -> None:
    """What could not be spoken before either (`excused`), or by no program, keeps no old configuration in force."""
    has_program, faults = can_speak(), list[Fault]()
    for saying, source in wanted.items():
        setting, sound = dotted(saying.setting), made[source]
        if isinstance(sound, SoundError):
            faults.append(Fault(path=setting, message=f"{saying.recording} {sound}"))
        elif isinstance(sound, SpeechError) and has_program and excused is not None and source not in excused:
            faults.append(Fault(path=setting, message=f"cannot be spoken: {sound}"))
        elif isinstance(sound, SpeechError):
            log.warning("text_not_spoken", setting=setting, detail=str(sound))
    if faults:
        raise ConfigError(faults)


async def _made(source: Source, before: Repertoire, booth: asyncio.Semaphore) -> Sound | SoundError | SpeechError:
    if (known := before.made.get(source)) is not None:
        return known
    try:
        async with booth:
            parts = await (_read(source) if isinstance(source, Recording) else _speak(source))
            return await asyncio.to_thread(_ready, parts, framed=source.framed)
    except (SoundError, SpeechError) as error:
        return error


async def _read(recording: Recording) -> list[Sound]:
    return [await asyncio.to_thread(read_wav, recording.path, longest_s=recording.longest_s)]


async def _speak(script: Script) -> list[Sound]:
    if not can_speak():
        raise SpeechError(f"{PROGRAM} is not installed")
    return [await speak(words, language=language) for words, language in script.words]


def _ready(parts: Iterable[Sound], *, framed: bool) -> Sound:
    """In one piece, and coded."""
    pcm = b"".join(part.pcm for part in parts)
    sound = Sound(pause(BEFORE_S).pcm + pcm + pause(AFTER_S).pcm if framed else pcm)
    sound.prepare()
    return sound


async def _prepare_ringback(config: Config) -> None:
    """Of every country that a trunk is in, where phones in menus hear it."""
    regions = {trunk.region or config.numbers.default_region for trunk in config.trunks.values()}
    for region in regions if config.menus else ():
        await asyncio.to_thread(ringback(region).prepare)
