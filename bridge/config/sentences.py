"""What phones hear, as the configuration has it: a text that is spoken, or a recording by the name of its file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator

from bridge.config import values
from bridge.config.document import Location
from bridge.media.sounds import SoundError, read_wav

WAV = ".wav"
_PATHS = ("/", "./", "../", "~/")
"""Nobody wants to hear a text that begins so."""


def _sentence(value: object) -> str:
    words = values.line(value)
    if not words.strip():
        raise ValueError("expected a text to be spoken, or a WAV file, found nothing")
    if words.lstrip().startswith(_PATHS) and recording(words) is None:
        raise ValueError(f"a recording's name ends in {WAV}, and this is no text to be spoken: {values.shown(words)}")
    return words


Sentence = Annotated[str, PlainValidator(_sentence)]


def recording(sentence: str) -> Path | None:
    """The file that is meant, where it is one."""
    return Path(sentence) if sentence.lower().endswith(WAV) else None


def names_file(sentence: str, base: Path) -> bool:
    """Whether a path is meant: a recording, or one word that a file beside the configuration bears as its name."""
    one_word = len(sentence.split()) == 1
    return recording(sentence) is not None or (one_word and os.path.isfile(base / sentence))


def unplayable(setting: Location, path: Path | None) -> Iterator[tuple[Location, str]]:
    """What is wrong with a recording, where there is one."""
    if path is None:
        return
    try:
        read_wav(path)
    except SoundError as error:
        yield setting, f"{path} {error}"
