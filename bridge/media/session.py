"""The application's handle of a call, whose audio lives on the media thread."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from bridge.media.call_media import CallMedia
from bridge.media.engine import Ear, IceCandidate, MediaSession, MediaStats
from bridge.media.media_thread import MediaThread
from bridge.media.recording import Recorded, RecordingRequest
from bridge.media.sounds import Sound
from bridge.media.verdicts import unavailable

_STEP_LIMIT_S = 10.0
T = TypeVar("T")


class EmbeddedSession:
    """The application's handle of one call; every step runs on the media thread, one after the other.

    Descriptions are read here, before the step: nothing that a stranger can make expensive shares a thread with audio.
    """

    def __init__(
        self, media: CallMedia, thread: MediaThread, close: Callable[[CallMedia], Coroutine[Any, Any, MediaStats]]
    ) -> None:
        self._media = media
        self._thread = thread
        self._close = close
        self._in_order = asyncio.Lock()

    async def set_matrix_offer(self, sdp: str) -> None:
        await self._step(self._media.set_matrix_offer(self._media.reader.matrix(sdp, answer=False)))

    async def create_matrix_answer(self) -> str:
        return await self._step(self._media.create_matrix_answer())

    async def create_matrix_offer(self) -> str:
        return await self._step(self._media.create_matrix_offer())

    async def set_matrix_answer(self, sdp: str) -> None:
        await self._step(self._media.set_matrix_answer(self._media.reader.matrix(sdp, answer=True)))

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        await self._step(self._media.add_matrix_candidates(tuple(candidates)))

    async def reset_matrix_leg(self) -> None:
        await self._step(self._media.reset_matrix_leg())

    async def drop_sip_leg(self) -> None:
        await self._step(self._media.drop_sip_leg())

    async def create_sip_offer(self, *, to_another: bool = False) -> str:
        return await self._step(self._media.create_sip_offer(to_another=to_another))

    async def create_sip_reoffer(self) -> str | None:
        return await self._step(self._media.create_sip_reoffer())

    async def set_sip_answer(self, sdp: str | None, *, from_another: bool = False, early: bool = False) -> None:
        remote = None if sdp is None else self._media.reader.sip(sdp)
        await self._step(self._media.set_sip_answer(remote, from_another=from_another, early=early))

    async def set_sip_offer(self, sdp: str) -> None:
        await self._step(self._media.set_sip_offer(self._media.reader.sip(sdp)))

    async def create_sip_answer(self) -> str:
        return await self._step(self._media.create_sip_answer())

    async def play_digits(self, digits: str, duration_ms: int) -> None:
        await self._step(self._media.play_digits(digits, duration_ms))

    async def play(self, sound: Sound, ear: Ear, *, repeats: bool = False) -> int:
        await asyncio.to_thread(sound.prepare)
        return await self._do(lambda: self._media.sounds.play(sound, ear, repeats=repeats))

    async def stop_playing(self, ear: Ear) -> None:
        await self._do(lambda: self._media.sounds.stop(ear))

    async def report_phone_digits(self, wanted: bool) -> None:
        await self._do(lambda: self._media.sounds.report_digits(wanted))

    async def start_recording(self, request: RecordingRequest) -> None:
        await self._do(lambda: self._media.sounds.start_recording(request))

    async def stop_recording(self) -> Recorded | None:
        ended = await self._do(lambda: self._media.sounds.stop_recording())
        if ended is None:
            return None
        try:
            recorded = await asyncio.wait_for(asyncio.wrap_future(ended), _STEP_LIMIT_S)
        except TimeoutError as error:
            raise unavailable("the recording cannot be finished") from error
        return recorded

    async def join(self, other: MediaSession) -> None:
        if not isinstance(other, EmbeddedSession):
            raise unavailable("the other session belongs to another engine")
        await self._step(self._media.join(other._media))

    def stats(self) -> MediaStats:
        return self._media.stats()

    async def close(self) -> MediaStats:
        if self._media.closed or not self._thread.running:
            return self._media.stats()
        return await self._step(self._close(self._media))

    async def _do(self, act: Callable[[], T]) -> T:
        """The same for a step that waits for nothing."""

        async def step() -> T:
            return act()

        return await self._step(step())

    async def _step(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one step with a time limit. Raises :class:`bridge.media.engine.MediaError`."""
        async with self._in_order:
            if not self._thread.running:
                work.close()
                raise unavailable("the engine is stopped")
            try:
                return await self._thread.call(limited(work))
            except TimeoutError as error:
                raise unavailable("a step took too long") from error


async def limited(work: Coroutine[Any, Any, T]) -> T:
    """A step on the media thread, which must not go on for ever."""
    async with asyncio.timeout(_STEP_LIMIT_S):
        return await work
