"""What a server plays into a call: sounds, music for a phone that is held, and keys that came by signalling."""

import asyncio
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridge.media.coders import RATE
from bridge.media.engine import Ear, MediaError
from bridge.media.formats import Codec
from bridge.media.rtpengine.commands import Flags
from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.ng import MAX_REQUEST
from bridge.media.sounds import Sound
from bridge.media.verdicts import unavailable

_KEYS = frozenset("0123456789*#ABCD")
_MOST_KEYS = 64
_SHORTEST_MS, _LONGEST_MS = 100, 5_000
"""What rtpengine accepts."""
_WAV_PCMU = 7
_FOR_EVER = 1 << 30
_ROOM = 1_000
"""Octets of a request besides the sound in it."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Playing:
    """A sound that is to be heard."""

    number: int
    blob: bytes
    duration_s: float
    repeats: bool


class Player:
    """One call's. What is wanted is noted at once, and played as soon as somebody is there to hear it."""

    def __init__(self, control: CallControl, music: bytes | None, on_played: Callable[[int], None]) -> None:
        self._control = control
        self._on_played = on_played
        self._numbers = itertools.count(1)
        self._music = None if music is None else _Playing(number=0, blob=music, duration_s=0, repeats=True)
        self._holds = False
        self._wanted: dict[Ear, _Playing] = {}
        self._heard: dict[Ear, tuple[str, _Playing]] = {}
        """What the server was told to play, to which tag."""
        self._ends: dict[Ear, asyncio.TimerHandle] = {}
        self.is_over = False
        """Whether a sound has ended, after which the music may go on."""

    def play(self, sound: Sound, ear: Ear, *, repeats: bool) -> int:
        """Want a sound instead of what is played to that ear. Raises :class:`bridge.media.engine.MediaError`."""
        blob = wav_blob(sound)
        if blob is None:
            raise unavailable("a sound is too long for a server")
        self.stop(ear)
        number = next(self._numbers)
        self._wanted[ear] = _Playing(number=number, blob=blob, duration_s=sound.duration_ms / 1000, repeats=repeats)
        return number

    def stop(self, ear: Ear) -> None:
        """Want it no longer."""
        self._wanted.pop(ear, None)
        if ear in self._ends:
            self._ends.pop(ear).cancel()

    def hold(self, wanted: bool) -> None:
        """Want music for the phone, or no longer."""
        self._holds = wanted

    def close(self) -> None:
        """Tell of no end any more."""
        for ear in Ear:
            self.stop(ear)

    async def settle(self, ear: Ear, tag: str | None) -> None:
        """Have the server play what is wanted to the party of this tag, or nothing to nobody."""
        self.is_over = False
        wanted = self._wanted.get(ear) or (self._music if self._holds and ear is Ear.PHONE else None)
        before = self._heard.get(ear)
        if tag is None or (wanted is None and before is None) or before == (tag, wanted):
            return
        if wanted is None:
            del self._heard[ear]
            await self._control.ask("stop media", {"from-tag": tag})
            return
        times = _FOR_EVER if wanted.repeats else 1
        await self._control.ask("play media", {"from-tag": tag, "blob": wanted.blob, "repeat-times": times})
        self._heard[ear] = tag, wanted
        if not wanted.repeats and ear not in self._ends:
            self._ends[ear] = asyncio.get_running_loop().call_later(wanted.duration_s, self._ended, ear, wanted)

    def _ended(self, ear: Ear, playing: _Playing) -> None:
        self._ends.pop(ear, None)
        if self._wanted.get(ear) is playing:
            del self._wanted[ear]
            self._heard.pop(ear, None)
            self.is_over = True
            self._on_played(playing.number)

    async def press(self, tag: str, digits: str, duration_ms: int) -> None:
        """Play keys as if a party had pressed them; what is no key, and too many, are left out.

        A server can play none before it has heard the party's audio: that is told, and no reason to end a call.
        """
        duration_ms = min(max(duration_ms, _SHORTEST_MS), _LONGEST_MS)
        try:
            for digit in digits[:_MOST_KEYS]:
                if digit.upper() in _KEYS:
                    press: Flags = {"from-tag": tag, "code": digit.upper(), "duration": duration_ms}
                    await self._control.ask("play DTMF", press)
        except MediaError as error:
            _log.warning("media_keys_not_played", error=error.detail)


def wav_blob(sound: Sound) -> bytes | None:
    """A sound as a WAV file of PCMU; `None` when it does not fit into a request."""
    payload = b"".join(sound.frames(Codec.PCMU))
    form = struct.pack("<HHIIHH", _WAV_PCMU, 1, RATE, RATE, 1, 8)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(payload)) + payload
    blob = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
    return blob if len(blob) <= MAX_REQUEST - _ROOM else None
