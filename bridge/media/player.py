"""A sound of our own in the stream that we send: packets by a clock, in the place of those of a source."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.media.formats import FRAME_MS, AudioFormat, Codec
from bridge.media.outbound import OutboundStream
from bridge.media.rtp import RtpPacket, timestamp_delta
from bridge.media.sounds import CodedSound


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """A sound as it is to be played."""

    sound: CodedSound
    repeats: bool
    number: int
    """By which its end is told."""


class Player:
    """Plays one sound at a time; asked every 20 ms while it can be heard."""

    def __init__(self, outbound: OutboundStream) -> None:
        self._outbound = outbound
        self._playing: Playing | None = None
        self._played_ms = self._due_ms = self._timeline = 0
        self._paused = True

    @property
    def busy(self) -> bool:
        """Whether there is something to be heard."""
        return self._playing is not None

    def play(self, playing: Playing | None) -> None:
        """Play this from its beginning, in the place of what is played; `None` is nothing."""
        self._playing = playing
        self._played_ms = self._due_ms = 0
        self._paused = True

    def pause(self) -> None:
        """Something else was sent, or nothing at all: go on from here, later."""
        self._paused = True

    def packets(self, audio: AudioFormat, now: float, packet_ms: int = FRAME_MS) -> Iterator[RtpPacket]:
        """The packets that are due."""
        self._due_ms += FRAME_MS
        length_ms = FRAME_MS if audio.codec is Codec.OPUS else packet_ms
        while self._playing is not None and self._due_ms >= length_ms:
            self._due_ms -= length_ms
            yield self._packet(self._playing, audio, now, length_ms)

    def _packet(self, playing: Playing, audio: AudioFormat, now: float, length_ms: int) -> RtpPacket:
        ticks = audio.codec.clock_rate * length_ms // 1000
        marker, self._paused = self._paused, False
        self._timeline = self._beginning(now, audio.codec, ticks) if marker else (self._timeline + ticks) & 0xFFFFFFFF
        payload = playing.sound.payload(audio.codec, self._played_ms, length_ms, repeats=playing.repeats)
        self._played_ms += length_ms
        return self._outbound.append(
            payload, payload_type=audio.payload_type, timestamp=self._timeline, marker=marker, now=now
        )

    def _beginning(self, now: float, codec: Codec, ticks: int) -> int:
        """Where the timeline stands, and no sooner than a packet after the one before."""
        outbound, start = self._outbound, self._outbound.position(now, codec.clock_rate)
        if outbound.sent_at is not None and timestamp_delta(start, outbound.timestamp) < ticks:
            return (outbound.timestamp + ticks) & 0xFFFFFFFF
        return start

    def ended(self) -> int | None:
        """The number of a sound whose last packet has been sent, told once."""
        playing = self._playing
        if playing is None or playing.repeats or self._played_ms < playing.sound.duration_ms:
            return None
        self.play(None)
        return playing.number
