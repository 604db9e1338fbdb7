"""Keys of the phone, for whoever asks what is pressed: a menu."""

from collections.abc import Callable

from bridge.media.dtmf import DigitRelay, TelephoneEvent
from bridge.media.formats import LegFormats
from bridge.media.keypad import KEYS
from bridge.media.rtp import RtpPacket


class DigitListener:
    """Hears the packets of the phone beside whatever becomes of them.

    A key is told with the first of its packets that comes: it has been pressed whatever else is lost.
    """

    def __init__(self, on_digit: Callable[[str], object]) -> None:
        self._on_digit = on_digit
        self._relay = DigitRelay()

    def hear(self, packet: RtpPacket, formats: LegFormats) -> None:
        """Take a packet of any kind."""
        digits = formats.received_digits(packet.payload_type)
        if digits is None:
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
