"""Packets of a call set aside for whoever records it: the path fills, the recorder empties."""

from collections import deque

from bridge.media.formats import LegFormats
from bridge.media.rtp import RtpPacket

MOST_WAITING = 1000
"""Ten seconds of both sides."""
Tapped = tuple[bool, float, str, bytes]
"""Whether it came from the phone, when it came, its codec, the packet.

Where there is no codec it is no audio: a key, say, of which only the header is here, lest its number is taken for lost.
"""


class Tap:
    """Filled and emptied by different threads; says so when it ran over, for then audio is missing."""

    def __init__(self) -> None:
        self.overflowed = False
        self._waiting: deque[Tapped] = deque()

    def take(self, packet: RtpPacket, formats: LegFormats, now: float, *, from_phone: bool) -> None:
        """Set a packet aside."""
        if len(self._waiting) >= MOST_WAITING:
            self.overflowed = True
            return
        codec = formats.received_codec(packet.payload_type)
        if codec is None:
            packet = RtpPacket(
                payload_type=packet.payload_type,
                sequence=packet.sequence,
                timestamp=packet.timestamp,
                ssrc=packet.ssrc,
                payload=b"",
            )
        self._waiting.append((from_phone, now, "" if codec is None else codec.value, bytes(packet)))

    def empty(self) -> list[Tapped]:
        """Everything that waits, in the order in which it came."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
