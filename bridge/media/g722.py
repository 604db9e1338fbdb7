"""G.722: seven kilohertz of audio in 64 kbit/s (ITU-T G.722), by the codec of PyAV.

Two samples at 16 kHz are one octet, so a frame may have any even number of samples. Calls release the interpreter lock.
"""

from fractions import Fraction

from av import AudioCodecContext, AudioFormat, AudioFrame, AudioLayout, CodecContext, Packet

from bridge.media.resampling import Doubler, Halver

NATIVE_RATE = 16000
_TIME_BASE = Fraction(1, NATIVE_RATE)


class G722Encoder:
    """20 ms frames of 16-bit mono PCM to G.722; audio of the old telephone, at 8 kHz, is brought to 16 kHz before."""

    def __init__(self, rate: int = NATIVE_RATE) -> None:
        self._doubler = Doubler() if rate < NATIVE_RATE else None
        self._context = _prepared(CodecContext.create("g722", "w"))
        self._context.time_base = _TIME_BASE
        self._written = 0

    def encode(self, pcm: bytes) -> bytes:
        """One payload."""
        wide = pcm if self._doubler is None else self._doubler.double(pcm)
        frame = AudioFrame(format="s16", layout="mono", samples=len(wide) // 2)
        frame.planes[0].update(wide)
        frame.sample_rate, frame.pts, frame.time_base = NATIVE_RATE, self._written, _TIME_BASE
        self._written += frame.samples
        return b"".join(bytes(packet) for packet in self._context.encode(frame))

    def close(self) -> None:
        """Nothing is held that would not go with the object."""


class G722Decoder:
    """G.722 to 16-bit mono PCM at 16 kHz, or at 8 kHz, without what lies above."""

    def __init__(self, rate: int = NATIVE_RATE) -> None:
        self._halver = Halver() if rate < NATIVE_RATE else None
        self._context = _prepared(CodecContext.create("g722", "r"))

    def decode(self, packet: bytes) -> bytes:
        """The audio of a payload: every octet means something."""
        if not packet:
            return b""
        frames = self._context.decode(Packet(packet))
        wide = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)
        return wide if self._halver is None else self._halver.halve(wide)


def _prepared(context: AudioCodecContext) -> AudioCodecContext:
    context.format, context.layout, context.sample_rate = AudioFormat("s16"), AudioLayout("mono"), NATIVE_RATE
    return context
