"""Sounds in memory that the engine shares with its workers: one of minutes is sent in an instant, and held once."""

import mmap
import os
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Final, overload

from bridge.media.formats import Codec
from bridge.media.sounds import CodedSound

_NUMBER: Final = "I"
"""How the index is written: where each frame begins, of one codec after the other, and where the last one ends."""


def share(sound: CodedSound) -> int:
    """A new descriptor of the sound in every codec's form. Raises `OSError`."""
    frames = list(chain.from_iterable(sound.frames(codec) for codec in Codec))
    index = array(_NUMBER, accumulate(map(len, frames), initial=0))
    descriptor = os.memfd_create("sound")
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(array(_NUMBER, (sound.frame_count,)).tobytes() + index.tobytes())
            memory.writelines(frames)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class SharedSound(CodedSound):
    """The other end: only what is played is ever read."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor over."""
        try:
            memory = memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))
        finally:
            os.close(descriptor)
        size = array(_NUMBER).itemsize
        self.frame_count = memory[:size].cast(_NUMBER)[0]
        octets_from = size * (2 + self.frame_count * len(Codec))
        index, octets = memory[size:octets_from].cast(_NUMBER), memory[octets_from:]
        self._frames = {
            codec: _Frames(index[self.frame_count * n :][: self.frame_count + 1], octets)
            for n, codec in enumerate(Codec)
        }

    def frames(self, codec: Codec) -> Sequence[bytes]:
        return self._frames[codec]


class _Frames(Sequence[bytes]):
    """The frames of one codec."""

    def __init__(self, index: memoryview, octets: memoryview) -> None:
        self._index, self._octets = index, octets

    def __len__(self) -> int:
        return len(self._index) - 1

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...
    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return bytes(self._octets[self._index[number] : self._index[number + 1]])
