"""Keys of the phone, for whoever asks what is pressed: a menu."""

from collections.abc import Callable

from bridge.media import g711
from bridge.media.dtmf import DigitRelay, TelephoneEvent
from bridge.media.formats import G711, Codec, LegFormats
from bridge.media.keypad import KEYS
from bridge.media.pcm import to_samples
from bridge.media.rtp import RtpPacket, sequence_delta
from bridge.media.tone_detector import ToneDetector


class DigitListener:
    """Hears the packets of the phone beside whatever becomes of them.

    An event is told with the first of its packets that comes: it has been pressed whatever else is lost. Tones count
    where no events were agreed on, and in G.711 alone: no key is ever told twice.
    """

    def __init__(self, on_digit: Callable[[str], object], *, tones: bool) -> None:
        self._on_digit = on_digit
        self._relay = DigitRelay()
        self._tones = ToneDetector() if tones else None
        self._newest: tuple[int, int] | None = None

    def hear(self, packet: RtpPacket, formats: LegFormats) -> None:
        """Take a packet of any kind."""
        digits = formats.received_digits(packet.payload_type)
        if digits is None:
            self._hear_tones(packet, formats)
            return
        event = self._relay.convert(
            packet.payload,
            ssrc=packet.ssrc,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            source_rate=digits.clock_rate,
            target_rate=digits.clock_rate,
            position=0,
        )
        pressed = TelephoneEvent.parse(event.payload) if event is not None and event.first else None
        if pressed is not None:
            self._on_digit(KEYS[pressed.event])

    def _hear_tones(self, packet: RtpPacket, formats: LegFormats) -> None:
        codec, is_next = formats.received_codec(packet.payload_type), self._is_next(packet)
        if self._tones is None or formats.receive_digits or codec not in G711 or not is_next:
            return
        decode = g711.ulaw_decode if codec is Codec.PCMU else g711.alaw_decode
        for key in self._tones.hear(to_samples(decode(packet.payload))):
            self._on_digit(key)

    def _is_next(self, packet: RtpPacket) -> bool:
        """Whether a packet comes after all others: one that is late or comes twice would cut a tone in two."""
        newest = self._newest
        is_next = newest is None or newest[0] != packet.ssrc or sequence_delta(packet.sequence, newest[1]) > 0
        if is_next:
            self._newest = packet.ssrc, packet.sequence
        return is_next
