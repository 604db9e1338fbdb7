"""The packet path in Rust (`trunkline-native`): sockets, SRTP and codecs on threads that hold no interpreter lock."""

import importlib
import zlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from bridge.media.engine import MediaStats
from bridge.media.formats import Codec
from bridge.media.packet_values import stats_of
from bridge.media.path import PathNeeds
from bridge.media.sounds import CodedSound
from bridge.media.worker_path import WorkerPath
from bridge.media.worker_paths import WorkerPaths

if TYPE_CHECKING:
    import trunkline_native

_INTERFACE = Path(__file__).with_name("native") / "trunkline_native.pyi"


def load() -> ModuleType | None:
    """The extension; `None` where it is not installed."""
    try:
        return importlib.import_module("trunkline_native")
    except ImportError:
        return None


def fits(module: ModuleType) -> bool:
    """Whether the extension can be asked what we ask: it is installed by itself, and may be older or newer than we."""
    return getattr(module, "INTERFACE", None) == zlib.crc32(_INTERFACE.read_bytes())


class NativePath(WorkerPath):
    """Implements :class:`bridge.media.path.PacketPath`: a thread is asked for its numbers."""

    @property
    def heard_phone_at(self) -> float | None:
        return self.call.numbers().sip.heard_at

    @property
    def heard_matrix_at(self) -> float | None:
        return self.call.numbers().matrix.heard_at

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        if self._call is None:
            return MediaStats()
        off_path_dropped += self._call.off_path
        return stats_of(self._call.numbers(), self._matrix, self._sip, off_path_dropped=off_path_dropped)


class NativePaths(WorkerPaths):
    """Implements :class:`bridge.media.path.PacketPaths`."""

    name = "native"

    def __init__(self, module: Any, workers: int = 0) -> None:
        """`workers` is how many threads there are; 0 one for each core that this process may use."""
        super().__init__(module, workers)
        self._sounds: WeakKeyDictionary[CodedSound, trunkline_native.Sound] = WeakKeyDictionary()

    def make(self, needs: PathNeeds) -> NativePath:
        return NativePath(needs, self)

    def shared(self, sound: CodedSound) -> "trunkline_native.Sound":
        if sound not in self._sounds:
            self._sounds[sound] = self._module.Sound([(codec.value, sound.frames(codec)) for codec in Codec])
        return self._sounds[sound]
