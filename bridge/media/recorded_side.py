"""One side of a recording: packets whenever they come, a frame of audio every 20 ms."""

from bridge.media import g711
from bridge.media.coders import FRAME_BYTES
from bridge.media.formats import Codec
from bridge.media.rtp import RtpError, RtpPacket
from bridge.media.transcoder import Transcoder

_SILENCE = bytes(FRAME_BYTES)


class RecordedSide:
    """Is played as any other ear would have it: put in order, made up where it is lost, silent where nobody speaks."""

    def __init__(self) -> None:
        self._transcoder: Transcoder | None = None

    def take(self, codec: str, octets: bytes, now: float) -> None:
        """A packet with its codec, or one that is no audio."""
        try:
            packet = RtpPacket.parse(octets)
        except RtpError:
            return
        if codec:
            self._from(Codec(codec)).push(packet, now)
        elif self._transcoder is not None:
            self._transcoder.account(packet, now)

    def _from(self, codec: Codec) -> Transcoder:
        """To µ-law, which the telephone network has heard most of it in."""
        if self._transcoder is None or self._transcoder.source is not codec:
            self.close()
            self._transcoder = Transcoder(codec, Codec.PCMU)
        return self._transcoder

    def frame(self, now: float) -> bytes:
        """The PCM that is due."""
        payloads = None if self._transcoder is None else self._transcoder.frame(now)
        return _SILENCE if payloads is None else g711.ulaw_decode(b"".join(payloads))

    def close(self) -> None:
        """Free the codecs."""
        if self._transcoder is not None:
            self._transcoder.close()
            self._transcoder = None
