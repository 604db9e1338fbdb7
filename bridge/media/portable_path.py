"""The packet path in Python, with workers of `bridge.media.portable`.

Processes, one for each core: the interpreter lock of one that signals, or serves other calls, never keeps a packet.
"""

import asyncio
from dataclasses import replace

from bridge.media import portable
from bridge.media.engine import MediaStats
from bridge.media.formats import codec_name
from bridge.media.path import PathNeeds
from bridge.media.portable.engine import CallHandle
from bridge.media.sounds import CodedSound
from bridge.media.worker_path import WorkerPath
from bridge.media.worker_paths import WorkerPaths


class PortablePath(WorkerPath):
    """Implements :class:`bridge.media.path.PacketPath`: a process tells its numbers without being asked."""

    _call: CallHandle | None  # type: ignore[assignment]  # what can be asked of it is the same

    @property
    def heard_phone_at(self) -> float | None:
        return None if self._call is None else self._call.seen.heard_phone_at

    @property
    def heard_matrix_at(self) -> float | None:
        return None if self._call is None else self._call.seen.heard_matrix_at

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        if self._call is None:
            return MediaStats()
        stats = self._call.stats
        return replace(
            stats,
            matrix=replace(stats.matrix, codec=codec_name(self._matrix)),
            sip=replace(stats.sip, codec=codec_name(self._sip)),
            off_path_dropped=stats.off_path_dropped + off_path_dropped,
        )


class PortablePaths(WorkerPaths):
    """Implements :class:`bridge.media.path.PacketPaths`."""

    name = "portable"

    def __init__(self, workers: int = 0) -> None:
        """`workers` is how many processes there are; 0 one for each core that this process may use."""
        super().__init__(portable, workers)

    def make(self, needs: PathNeeds) -> PortablePath:
        return PortablePath(needs, self)

    def shared(self, sound: CodedSound) -> int:
        return int(self.engine.sound(sound))

    def _collect(self) -> None:
        super()._collect()
        if self._engine is None:
            return
        calls, workers = self.engine.take_lost()
        if workers and self._telemetry is not None:
            self._telemetry.count("media_workers_ended_total", workers)
        for number in calls:
            path = self._calls.pop(number, None)
            if path is not None:
                asyncio.get_running_loop().call_soon(path.lost)

    def look_after(self) -> None:
        super().look_after()
        if self._engine is not None and self._telemetry is not None:
            self.engine.tell(self._telemetry)
