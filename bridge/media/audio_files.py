"""Files that grow while a call is recorded, and can be played at any moment: Opus in Ogg (RFC 7845), and WAV."""

import itertools
import os
import struct
from pathlib import Path
from typing import Protocol

from bridge.media.coders import RATE
from bridge.media.opus import OpusEncoder
from bridge.media.recording import RecordingFormat

_MODE = 0o600
_FRAMES_TOGETHER = 40
"""What is written at once, 0.8 s of sound, is what a crash can cost; the largest packets of it fit into a page."""
_FIRST, _LAST = 2, 4
_VENDOR = b"trunkline"
_FRAME_TICKS = 960
"""Of Ogg Opus, which counts at 48 kHz whatever is encoded."""
_END_ROOM = 28
"""Octets of a page without packets."""


class FileFullError(Exception):
    """What was to be written would make the file larger than it may be."""


class AudioFile(Protocol):
    """Frames of 20 ms in, 16-bit PCM with the channels interleaved. Every method may raise :class:`OSError`."""

    octets: int
    """Size of the file."""

    def write(self, pcm: bytes) -> None:
        """The next frame. Raises :class:`FileFullError`; the file is whole then, without this frame."""
        ...

    def close(self) -> None:
        """Write what is missing and close; may be called again after it failed."""
        ...


def create(path: Path, file_format: RecordingFormat, *, channels: int, most_octets: int) -> AudioFile:
    """A file for our user alone, in the place of one that is there. Raises :class:`OSError`."""
    kind = OggOpusFile if file_format is RecordingFormat.OGG_OPUS else WavFile
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        return kind(descriptor, channels=channels, most_octets=most_octets)
    except BaseException:
        os.close(descriptor)
        raise


class _Growing:
    """A descriptor that is written to until it is full."""

    def __init__(self, descriptor: int, most_octets: int) -> None:
        self.octets = 0
        self._descriptor, self._most_octets = descriptor, most_octets

    def _release(self) -> None:
        """Close the descriptor, once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _append(self, octets: bytes, room_after: int = 0) -> None:
        if self.octets + len(octets) + room_after > self._most_octets:
            raise FileFullError
        self._put(octets)
        self.octets += len(octets)

    def _put(self, octets: bytes) -> None:
        """All of it: a disk that is nearly full takes a part."""
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class WavFile(_Growing):
    """Linear PCM; the header, which has the length, is written anew with every piece."""

    def __init__(self, descriptor: int, *, channels: int, most_octets: int) -> None:
        super().__init__(descriptor, most_octets)
        self._channels = channels
        self._waiting: list[bytes] = []
        self._append(self._header(0))

    def _header(self, octets: int) -> bytes:
        align = 2 * self._channels
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, self._channels, RATE, RATE * align, align, 16)
        rest = b"WAVE" + form + struct.pack("<4sI", b"data", octets)
        return struct.pack("<4sI", b"RIFF", len(rest) + octets) + rest

    def write(self, pcm: bytes) -> None:
        if self.octets + sum(map(len, self._waiting)) + len(pcm) > self._most_octets:
            raise FileFullError
        self._waiting.append(pcm)
        if len(self._waiting) == _FRAMES_TOGETHER:
            self._write_waiting()

    def _write_waiting(self) -> None:
        header_octets = len(self._header(0))
        self._append(b"".join(self._waiting))
        self._waiting.clear()
        os.pwrite(self._descriptor, self._header(self.octets - header_octets), 0)

    def close(self) -> None:
        try:
            self._write_waiting()
        finally:
            self._release()


class OggOpusFile(_Growing):
    """One logical stream, a page for every 0.8 s."""

    def __init__(self, descriptor: int, *, channels: int, most_octets: int) -> None:
        super().__init__(descriptor, most_octets)
        self._encoder = OpusEncoder(channels=channels, expected_loss_percent=0)
        self._serial = int.from_bytes(os.urandom(4), "big")
        self._pages = itertools.count()
        self._packets: list[bytes] = []
        self._ticks = 0
        skip, gain, family = self._encoder.lookahead * 48000 // RATE, 0, 0
        head = struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, skip, RATE, gain, family)
        tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", 0)
        self._append(self._page([head], flags=_FIRST), _END_ROOM)
        self._append(self._page([tags]), _END_ROOM)

    def write(self, pcm: bytes) -> None:
        self._packets.append(self._encoder.encode(pcm))
        if len(self._packets) == _FRAMES_TOGETHER:
            self._write_waiting()

    def _write_waiting(self) -> None:
        packets, self._packets = self._packets, []
        ticks = self._ticks + _FRAME_TICKS * len(packets)
        before, self._ticks = self._ticks, ticks
        try:
            self._append(self._page(packets), _END_ROOM)
        except FileFullError:
            self._ticks = before
            raise

    def close(self) -> None:
        try:
            if self._packets:
                self._write_waiting()
        except FileFullError:
            # The last piece does not fit: the file ends before it.
            self._packets.clear()
        finally:
            self._end()

    def _end(self) -> None:
        try:
            self._append(self._page([], flags=_LAST))
        finally:
            self._encoder.close()
            self._release()

    def _page(self, packets: list[bytes], *, flags: int = 0) -> bytes:
        """RFC 3533 §6; the granule position is that of the end of the page."""
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
        number = next(self._pages)
        head = struct.pack("<4sBBQIII", b"OggS", 0, flags, self._ticks, self._serial, number, 0)
        page = head + bytes((len(lacing),)) + lacing + b"".join(packets)
        return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        remainder = value << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ 0x04C11DB7 if remainder & 0x80000000 else remainder << 1) & 0xFFFFFFFF
        table.append(remainder)
    return tuple(table)


_TABLE = _checksum_table()


def _checksum(octets: bytes) -> int:
    """The CRC of Ogg: not reflected, begins with 0 (RFC 3533 §6)."""
    remainder = 0
    for octet in octets:
        remainder = (remainder << 8 & 0xFFFFFFFF) ^ _TABLE[remainder >> 24 ^ octet]
    return remainder
