"""Opus through ctypes: the libopus that PyAV's wheel carries, else the system's.

Telephone audio is 8 or 16 kHz, one channel; libopus resamples inside, so no other resampler is needed. Calls release
the interpreter lock. API: libopus 1.x, `opus_encoder_create` and following.
"""

import bisect
import ctypes
import ctypes.util
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from bridge.media.opus_wish import OURS, OpusWish

RATE = 8000
_APPLICATION_VOIP = 2048
_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC = 4002, 4010, 4012, 4014
_SET_MAX_BANDWIDTH, _SET_VBR, _SET_DTX = 4004, 4006, 4016
_GET_LOOKAHEAD = 4027
_NARROWBAND = 1101
_BANDS = (8000, 12000, 16000, 24000)
"""Sampling rates that the audio bands from narrowband on have; fullband, the last one, has more (RFC 6716 §2)."""
_LONGEST_S = 0.120
"""An Opus packet holds at most 120 ms (RFC 6716 §3.4)."""
_BITRATE = 32000
"""Bits a second of one channel of speech, room for redundancy included: that takes a quarter of them."""
_LARGEST_PACKET = 1275


class OpusError(Exception):
    """libopus refused a packet, or is not there."""


def _places() -> Iterator[str]:
    """Paths and names under which libopus may be found, the wheel's own copy first."""
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        yield from map(str, sorted((Path(spec.origin).parent.parent / "av.libs").glob("libopus-*.so*")))
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield system


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    for place in _places():
        try:
            return _declare(ctypes.CDLL(place))
        except (OSError, AttributeError):
            continue
    raise OpusError("libopus was not found: install PyAV's wheel or the system's libopus0")


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the signatures that it cannot guess: pointers are wider than its default."""
    library.opus_encoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_encoder_destroy.argtypes = [ctypes.c_void_p]
    library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    library.opus_encoder_destroy.restype = library.opus_decoder_destroy.restype = None
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.opus_encode.argtypes = [pointer, text, number, text, number]
    library.opus_decode.argtypes = [pointer, text, number, text, number, number]
    library.opus_get_version_string.restype = ctypes.c_char_p
    return library


def version() -> str:
    """Which libopus is in use; raises :class:`OpusError` when there is none."""
    text: bytes = _library().opus_get_version_string()
    return text.decode()


def path() -> str:
    """Where the libopus in use is; raises :class:`OpusError` when there is none."""
    return _library()._name


class OpusEncoder:
    """Frames of PCM at 8 or 16 kHz to Opus, as whoever receives it wishes: with in-band FEC (RFC 6716 §2.1.7)."""

    def __init__(
        self,
        rate: int = RATE,
        *,
        complexity: int = 5,
        expected_loss_percent: int = 5,
        channels: int = 1,
        wish: OpusWish = OURS,
    ) -> None:
        self._library, self._channels = _library(), channels
        error = ctypes.c_int()
        self._state: int | None = self._library.opus_encoder_create(
            rate, channels, _APPLICATION_VOIP, ctypes.byref(error)
        )
        if not self._state:
            raise OpusError(f"opus_encoder_create: {error.value}")
        self._output = ctypes.create_string_buffer(_LARGEST_PACKET)
        for request, value in (
            (_SET_BITRATE, min(_BITRATE * channels, wish.bitrate)),
            (_SET_COMPLEXITY, complexity),
            (_SET_INBAND_FEC, int(wish.fec and expected_loss_percent > 0)),
            (_SET_PACKET_LOSS_PERC, expected_loss_percent),
            (_SET_MAX_BANDWIDTH, _NARROWBAND + bisect.bisect_left(_BANDS, wish.playback_rate)),
            (_SET_DTX, int(wish.dtx)),
            (_SET_VBR, int(not wish.constant)),
        ):
            self._library.opus_encoder_ctl(ctypes.c_void_p(self._state), ctypes.c_int(request), ctypes.c_int(value))

    @property
    def lookahead(self) -> int:
        """Samples before the first one of the sound in what a decoder gives (RFC 7845 §4.2)."""
        value = ctypes.c_int()
        self._library.opus_encoder_ctl(ctypes.c_void_p(self._state), ctypes.c_int(_GET_LOOKAHEAD), ctypes.byref(value))
        return value.value

    def encode(self, pcm: bytes) -> bytes:
        """One frame of 2.5 to 60 ms, the channels interleaved."""
        samples = len(pcm) // (2 * self._channels)
        size = self._library.opus_encode(self._state, pcm, samples, self._output, _LARGEST_PACKET)
        if size < 0:
            raise OpusError(f"opus_encode: {size}")
        return self._output.raw[:size]

    def close(self) -> None:
        """Free the C object; may be called twice."""
        state, self._state = self._state, None
        if state is not None:
            self._library.opus_encoder_destroy(state)

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not None:
            self.close()


class OpusDecoder:
    """Opus of any rate and channel count to mono PCM at 8 or 16 kHz."""

    def __init__(self, rate: int = RATE) -> None:
        self._library = _library()
        self._longest = round(rate * _LONGEST_S)
        error = ctypes.c_int()
        self._state: int | None = self._library.opus_decoder_create(rate, 1, ctypes.byref(error))
        if not self._state:
            raise OpusError(f"opus_decoder_create: {error.value}")
        self._output = ctypes.create_string_buffer(2 * self._longest)

    def decode(self, packet: bytes) -> bytes:
        """The audio of one packet."""
        return self._decode(packet, self._longest, fec=False)

    def recover(self, following: bytes, samples: int) -> bytes:
        """The audio of a lost packet, from the redundancy in the one that follows it; concealed when it has none."""
        return self._decode(following, samples, fec=True)

    def conceal(self, samples: int) -> bytes:
        """Audio that continues what was heard last, fading out over about 100 ms."""
        return self._decode(None, samples, fec=False)

    def _decode(self, packet: bytes | None, samples: int, *, fec: bool) -> bytes:
        length = len(packet) if packet else 0
        size = self._library.opus_decode(self._state, packet or None, length, self._output, samples, int(fec))
        if size < 0:
            raise OpusError(f"opus_decode: {size}")
        return self._output.raw[: 2 * size]

    def close(self) -> None:
        """Free the C object; may be called twice."""
        state, self._state = self._state, None
        if state is not None:
            self._library.opus_decoder_destroy(state)

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not None:
            self.close()
