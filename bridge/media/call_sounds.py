"""What a call lets be heard by itself, and what it hears: sounds in their order of precedence, keys of the phone."""

from collections.abc import Callable
from itertools import count

from bridge.core.ids import CallId
from bridge.media.engine import Ear, MediaEvent, PhoneDigitPressed, SoundPlayed
from bridge.media.path import PacketPath
from bridge.media.player import Playing
from bridge.media.sounds import Sound


class CallSounds:
    """The sounds of one call. A sound that was asked for is heard, else what is played to a phone on hold."""

    def __init__(self, call_id: CallId, hold_music: Sound | None, emit: Callable[[MediaEvent], None]) -> None:
        self._call_id, self._emit = call_id, emit
        self._path: PacketPath | None = None
        self._numbers = count(1)
        self._music = None if hold_music is None else Playing(sound=hold_music, repeats=True, number=0)
        self._held = self._reports = False
        self._asked: dict[Ear, Playing] = {}
        self._heard: dict[Ear, Playing | None] = dict.fromkeys(Ear)
        """What the path plays."""

    def attach(self, path: PacketPath) -> None:
        """Play on this path, which is made with the methods of this object."""
        self._path = path

    # What is asked

    def play(self, sound: Sound, ear: Ear, *, repeats: bool) -> int:
        """Begin a sound; its number."""
        number = next(self._numbers)
        self._asked[ear] = Playing(sound=sound, repeats=repeats, number=number)
        self._choose()
        return number

    def stop(self, ear: Ear) -> None:
        """End a sound, if there is one."""
        self._asked.pop(ear, None)
        self._choose()

    def hold(self, held: bool) -> None:
        """The user's client holds the phone, or has it back."""
        self._held = held
        self._choose()

    def report_digits(self, wanted: bool) -> None:
        """Tell of keys of the phone, or no longer."""
        self._reports = wanted
        if self._path is not None:
            self._path.listen(wanted)

    # What happens

    def played(self, number: int) -> None:
        """The path has played a sound to its end; one that was replaced meanwhile is nobody's business any more."""
        for ear, playing in self._asked.items():
            if playing.number == number:
                del self._asked[ear]
                self._heard[ear] = None
                self._emit(SoundPlayed(call_id=self._call_id, number=number))
                break
        self._choose()

    def phone_digit(self, digit: str) -> None:
        """A key of the phone, by whatever way it came."""
        if self._reports:
            self._emit(PhoneDigitPressed(call_id=self._call_id, digit=digit))

    def _choose(self) -> None:
        for ear in Ear:
            wanted = self._asked.get(ear)
            if wanted is None and ear is Ear.PHONE and self._held:
                wanted = self._music
            if wanted is not self._heard[ear] and self._path is not None:
                self._heard[ear] = wanted
                self._path.play(ear, wanted)
