"""Recordings of calls, written by a thread of their own: no packet ever waits for the disk or an encoder."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol

import structlog

from bridge.core.clock import Clock
from bridge.core.telemetry import Telemetry
from bridge.media.audio_files import FileFullError, create
from bridge.media.pcm import UNITY, to_octets, to_samples
from bridge.media.playout_delay import FRAME_S
from bridge.media.recorded_side import RecordedSide
from bridge.media.recording import Recorded, RecordedSides, RecordingEnd, RecordingRequest
from bridge.media.tap import Tapped
from bridge.media.verdicts import unavailable
from bridge.media.waveform import Waveform

MOST_AT_ONCE = 32
"""Each costs about 2 % of a core."""
_EVERY_S = 0.1
_ROUNDING_S = 1e-6
_STOP_LIMIT_S = 5.0
_log = structlog.get_logger()


class Source(Protocol):
    """Where the packets of a call come from; both methods may be called by any thread."""

    def tap(self, wanted: bool) -> None:
        """Set packets aside, or no longer; what was is kept."""
        ...

    def tapped(self) -> tuple[list[Tapped], bool]:
        """What was set aside since the last time, and whether some was lost because nobody asked for it."""
        ...


class Recording:
    """One recording. Begun and ended by any thread, worked on by the recorder's."""

    def __init__(self, request: RecordingRequest, source: Source, on_end: Callable[[Recorded], object]) -> None:
        """Makes the file. Raises :class:`OSError`."""
        channels = 2 if request.sides is RecordedSides.SEPARATE else 1
        self.ended: Future[Recorded] = Future()
        """When the file is whole."""
        self._request, self._source, self._on_end = request, source, on_end
        self._file = create(request.path, request.file_format, channels=channels, most_octets=request.most_octets)
        self._phone, self._client = RecordedSide(), RecordedSide()
        self._waveform = Waveform()
        self._waiting: deque[Tapped] = deque()
        self._began: float | None = None
        self._frames = 0
        self._asked: tuple[RecordingEnd, float] | None = None

    def begin(self, now: float) -> None:
        """From here on it is recorded."""
        if self._began is None:
            self._source.tap(True)
            self._began = now

    def end(self, why: RecordingEnd, now: float) -> None:
        """It is recorded no longer; the file is finished soon."""
        if self._asked is None:
            self._source.tap(False)
            self._asked = why, now

    def work(self, now: float) -> bool:
        """Write what was said; `True` when the recording has ended."""
        asked = self._asked
        why = self._write(now if asked is None else min(now, asked[1]))
        if why is None and asked is not None:
            why = asked[0]
        if why is not None:
            self._finish(why)
        return why is not None

    def _write(self, until: float) -> RecordingEnd | None:
        """Every frame that is due; why there can be no more, if so."""
        packets, overflowed = self._source.tapped()
        self._waiting.extend(packets)
        try:
            for due in self._due(until):
                if self._frames >= self._request.longest_s / FRAME_S:
                    return RecordingEnd.TIME_LIMIT
                self._write_frame(due)
        except FileFullError:
            return RecordingEnd.SIZE_LIMIT
        except OSError as error:
            _log.warning("recording_not_written", error=error.strerror)
            return RecordingEnd.DISK
        return RecordingEnd.BEHIND if overflowed else None

    def _due(self, until: float) -> Iterator[float]:
        """The ends of the frames that are over."""
        while self._began is not None:
            due = self._began + (self._frames + 1) * FRAME_S
            if due > until + _ROUNDING_S:
                return
            yield due

    def _write_frame(self, due: float) -> None:
        while self._waiting and self._waiting[0][1] <= due:
            from_phone, arrived, codec, octets = self._waiting.popleft()
            (self._phone if from_phone else self._client).take(codec, octets, arrived)
        pcm = self._frame(due)
        self._file.write(pcm)
        self._waveform.take(pcm)
        self._frames += 1

    def _frame(self, due: float) -> bytes:
        match self._request.sides:
            case RecordedSides.PHONE:
                return self._phone.frame(due)
            case RecordedSides.MATRIX:
                return self._client.frame(due)
        both = zip(to_samples(self._phone.frame(due)), to_samples(self._client.frame(due)), strict=True)
        if self._request.sides is RecordedSides.SEPARATE:
            return to_octets(sample for pair in both for sample in pair)
        return to_octets(max(-UNITY, min(left + right, UNITY - 1)) for left, right in both)

    def _finish(self, why: RecordingEnd) -> None:
        self._source.tap(False)
        try:
            self._file.close()
        except OSError as error:
            _log.warning("recording_not_closed", error=error.strerror)
            why = RecordingEnd.DISK
        self._phone.close()
        self._client.close()
        recorded = Recorded(
            path=self._request.path,
            end=why,
            duration_s=round(self._frames * FRAME_S, 3),
            octets=self._file.octets,
            waveform=self._waveform.values(),
            heard=self._waveform.heard,
        )
        self._on_end(recorded)
        self.ended.set_result(recorded)

    def give_up(self) -> None:
        """After a fault of ours: end with what there is."""
        if not self.ended.done():
            self._finish(RecordingEnd.FAILED)


class Recorder:
    """The recordings of an engine, and the thread that writes them while there are any."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._now, self._telemetry = clock.monotonic, telemetry
        self._recordings: list[Recording] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being recorded, or not written yet."""
        return self._thread is not None

    def open(self, request: RecordingRequest, source: Source, on_end: Callable[[Recorded], object]) -> Recording:
        """Make the file of a recording, which has yet to begin. Raises :class:`bridge.media.engine.MediaError`."""
        with self._changed:
            if len(self._recordings) >= MOST_AT_ONCE:
                raise unavailable("too many calls are recorded")
            try:
                recording = Recording(request, source, on_end)
            except OSError as error:
                raise unavailable(f"the recording cannot be written: {error.strerror}") from error
            self._recordings.append(recording)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trunkline-recorder", daemon=True)
                self._thread.start()
        return recording

    def hurry(self) -> None:
        """Something has ended: do not wait for the next round."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Wait until what has been ended is written."""
        thread = self._thread
        if thread is not None:
            self.hurry()
            thread.join(_STOP_LIMIT_S)

    def _run(self) -> None:
        """Ends with the last recording."""
        while True:
            with self._changed:
                if not self._recordings:
                    self._thread = None
                    return
                self._changed.wait(_EVERY_S)
                recordings = tuple(self._recordings)
            now = self._now()
            ended = [recording for recording in recordings if self._work(recording, now)]
            with self._changed:
                self._recordings = [recording for recording in self._recordings if recording not in ended]

    def _work(self, recording: Recording, now: float) -> bool:
        """A fault in one recording is not the others' fault."""
        try:
            over = recording.work(now)
        except Exception:
            _log.exception("recording_failed")
            self._telemetry.count("internal_errors_total", component="media")
            recording.give_up()
            over = True
        if over:
            self._telemetry.count("recordings_total", end=recording.ended.result().end.value)
        return over
