"""Sentences spoken by espeak-ng: the same sound on every machine that has the same version of it."""

import io
import shutil
import subprocess
import wave
from dataclasses import dataclass

import numpy as np

from tests.media.marks import Samples

SECTION_S = 8.0
_PAUSE_S = 0.4
_LEVEL = 0.05
"""RMS, of full scale: -26 dB, as ITU-T P.862 wants it."""
_TIME_LIMIT_S = 20
# Voices to which G.711 does no more than to a person's, saying some of the Harvard sentences (IEEE 297-1969).
_SECTIONS = (
    (
        "en-us+m1",
        "The birch canoe slid on the smooth planks.",
        "Glue the sheet to the dark blue background.",
        "Rice is often served in round bowls.",
    ),
    (
        "en-us+f2",
        "It is easy to tell the depth of a well.",
        "These days a chicken leg is a rare dish.",
        "The juice of lemons makes fine punch.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Eight seconds of one voice, at the rates of client and phone."""

    wide: Samples
    narrow: Samples


def is_installed() -> bool:
    """Whether sentences can be made here."""
    return shutil.which("espeak-ng") is not None


def sections(wide_rate: int, narrow_rate: int) -> list[Section]:
    """One for each voice."""
    made = []
    for voice, *sentences in _SECTIONS:
        rate, sound = _joined(voice, sentences)
        sound *= _LEVEL / np.sqrt(np.mean(np.square(sound)))
        made.append(Section(wide=_resampled(sound, rate, wide_rate), narrow=_resampled(sound, rate, narrow_rate)))
    return made


def _joined(voice: str, sentences: list[str]) -> tuple[int, Samples]:
    """The sentences with pauses, cut or filled to the length of a section."""
    pieces, rate = [], 0
    for sentence in sentences:
        rate, sound = _spoken(voice, sentence)
        pieces += [np.zeros(round(_PAUSE_S * rate)), sound]
    whole, wanted = np.concatenate(pieces), round(SECTION_S * rate)
    return rate, np.pad(whole, (0, max(0, wanted - whole.size)))[:wanted]


def _spoken(voice: str, sentence: str) -> tuple[int, Samples]:
    command = ("espeak-ng", "--stdout", "-v", voice, "-s", "150", sentence)
    done = subprocess.run(command, capture_output=True, check=True, timeout=_TIME_LIMIT_S)
    # The length in the header of what goes to a pipe is a guess.
    with wave.open(io.BytesIO(done.stdout)) as spoken:
        rate, header = spoken.getframerate(), 44
    return rate, np.frombuffer(done.stdout[header : len(done.stdout) // 2 * 2], "<i2") / 32768


def _resampled(sound: Samples, rate: int, wanted: int) -> Samples:
    """Exact for whole seconds: the spectrum is cut off, or continued with nothing."""
    count = round(sound.size * wanted / rate)
    spectrum, half = np.fft.rfft(sound), count // 2 + 1
    fitted = np.pad(spectrum, (0, max(0, half - spectrum.size)))[:half]
    return np.fft.irfft(fitted, count) * wanted / rate
