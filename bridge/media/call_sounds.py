"""What a call lets be heard by itself, and what it hears: sounds in their order of precedence, keys of the phone."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count

from bridge.core.ids import CallId
from bridge.media.engine import Ear, MediaEvent, PhoneDigitPressed, RecordingEnded, SoundPlayed
from bridge.media.path import PacketPath
from bridge.media.player import Playing
from bridge.media.recorder import Recorder, Recording
from bridge.media.recording import Recorded, RecordedSides, RecordingEnd, RecordingRequest
from bridge.media.sounds import Sound
from bridge.media.tone_plan import beep, key_tone
from bridge.media.verdicts import unavailable

_MOST_KEYS = 64
_EARS = {
    RecordedSides.PHONE: (Ear.PHONE,),
    RecordedSides.MATRIX: (Ear.MATRIX,),
    RecordedSides.MIXED: tuple(Ear),
    RecordedSides.SEPARATE: tuple(Ear),
}


class CallSounds:
    """The sounds of one call. A sound that was asked for is heard, else what is played to a phone on hold."""

    def __init__(
        self,
        call_id: CallId,
        hold_music: Sound | None,
        recorder: Recorder,
        *,
        tones: bool,
        emit: Callable[[MediaEvent], None],
        now: Callable[[], float],
    ) -> None:
        self._call_id, self._emit, self._now = call_id, emit, now
        self._path: PacketPath | None = None
        self._numbers = count(1)
        self._music = None if hold_music is None else Playing(sound=hold_music, repeats=True, number=0)
        self._held = self._reports = False
        self._tones = tones
        self._keys: deque[Playing] = deque()
        """Keys that the phone has yet to hear, as tones."""
        self._asked: dict[Ear, Playing] = {}
        self._heard: dict[Ear, Playing | None] = dict.fromkeys(Ear)
        """What the path plays."""
        self._recorder = recorder
        self._recording: Recording | None = None
        self._ending: Future[Recorded] | None = None
        """What becomes of the newest one, which takes what is set aside until its file is whole."""
        self._beeps: set[int] = set()
        """The numbers of sounds after which it begins."""

    def attach(self, path: PacketPath) -> None:
        """Play on this path, which is made with the methods of this object."""
        self._path = path

    # What is asked

    def play(self, sound: Sound, ear: Ear, *, repeats: bool) -> int:
        """Begin a sound; its number."""
        number = next(self._numbers)
        self._forget(ear)
        if ear is Ear.PHONE:
            self._keys.clear()
        self._asked[ear] = Playing(sound=sound, repeats=repeats, number=number)
        self._choose()
        return number

    def stop(self, ear: Ear) -> None:
        """End a sound, if there is one."""
        self._forget(ear)
        self._choose()

    def _forget(self, ear: Ear) -> None:
        """A beep that is cut off has been heard."""
        playing = self._asked.pop(ear, None)
        if playing is not None and playing.number in self._beeps:
            self._begin_recording()

    def hold(self, held: bool) -> None:
        """The user's client holds the phone, or has it back."""
        self._held = held
        self._choose()

    def report_digits(self, wanted: bool) -> None:
        """Tell of keys of the phone, or no longer; asked again, it forgets none that is being pressed."""
        if self._path is not None and wanted is not self._reports:
            self._reports = wanted
            self._path.listen(wanted, tones=self._tones)

    @property
    def listens(self) -> bool:
        """Whether the bridge listens to the phone itself, as a menu or a message box."""
        return self._reports

    def press(self, digit: str, duration_ms: int) -> None:
        """Let the phone hear a key after those before it, unless it hears a sound or music."""
        tone, busy = key_tone(digit, duration_ms), self._held or Ear.PHONE in self._asked
        if tone is not None and not busy and len(self._keys) < _MOST_KEYS:
            self._keys.append(Playing(sound=tone, repeats=False, number=next(self._numbers)))
            self._choose()

    def start_recording(self, request: RecordingRequest) -> None:
        """Make the file, and record once those who are recorded have heard a beep, if there is to be one."""
        if self._path is None or (self._ending is not None and not self._ending.done()):
            raise unavailable("the call is being recorded already")
        self._recording = self._recorder.open(request, self._path, self._recorded)
        self._ending = self._recording.ended
        self._beeps = {self.play(beep(), ear, repeats=False) for ear in _EARS[request.sides] if request.beep}
        if not self._beeps:
            self._begin_recording()

    def stop_recording(self, why: RecordingEnd = RecordingEnd.STOPPED) -> Future[Recorded] | None:
        """End the recording, if there is one; what it becomes."""
        recording, self._recording = self._recording, None
        if recording is None:
            return None
        recording.end(why, self._now())
        self._recorder.hurry()
        return recording.ended

    def _begin_recording(self) -> None:
        self._beeps = set()
        if self._recording is not None:
            self._recording.begin(self._now())

    def _recorded(self, recorded: Recorded) -> None:
        self._emit(RecordingEnded(call_id=self._call_id, recorded=recorded))

    # What happens

    def played(self, number: int) -> None:
        """The path has played a sound to its end; one that was replaced meanwhile is nobody's business any more."""
        for ear, playing in self._asked.items():
            if playing.number == number:
                del self._asked[ear]
                self._heard[ear] = None
                self._tell_played(number)
                break
        if self._keys and self._keys[0].number == number:
            self._keys.popleft()
            self._heard[Ear.PHONE] = None
        self._choose()

    def _tell_played(self, number: int) -> None:
        if number in self._beeps:
            self._begin_recording()
        else:
            self._emit(SoundPlayed(call_id=self._call_id, number=number))

    def phone_digit(self, digit: str) -> None:
        """A key of the phone, by whatever way it came."""
        if self._reports:
            self._emit(PhoneDigitPressed(call_id=self._call_id, digit=digit))

    def _choose(self) -> None:
        for ear in Ear:
            wanted = self._asked.get(ear) or (self._for_phone() if ear is Ear.PHONE else None)
            if wanted is not self._heard[ear] and self._path is not None:
                self._heard[ear] = wanted
                self._path.play(ear, wanted)

    def _for_phone(self) -> Playing | None:
        """What the phone hears when nothing was asked for."""
        if self._held:
            return self._music
        return self._keys[0] if self._keys else None
